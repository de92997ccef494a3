"""Every setting of every command, once: its name, type, bounds and default, its option, and the help."""

from flip.cli.options.embed import EmbedSettings as EmbedSettings
from flip.cli.options.eval import EvalSettings as EvalSettings
from flip.cli.options.explain import ExplainSettings as ExplainSettings
from flip.cli.options.pull import PullSettings as PullSettings
from flip.cli.options.section import WORSE as WORSE
from flip.cli.options.shared import ENCODER as ENCODER
from flip.cli.options.shared import ENCODER_FLAGS as ENCODER_FLAGS
from flip.cli.options.shared import SharedSettings as SharedSettings
from flip.cli.options.store import StoreSettings as StoreSettings
from flip.cli.options.train import TrainSettings as TrainSettings
from flip.cli.options.vocab import VocabSettings as VocabSettings
