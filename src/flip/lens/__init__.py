"""Use a model from Python: fit or load it, and explain a sentence or a vector."""

from flip.lens.lens import Lens as Lens
from flip.lens.lens import fit as fit
from flip.lens.lens import load as load
from flip.lens.lens import require_matrix as require_matrix
from flip.lens.lens import require_texts as require_texts
