"""Every command that a README shows in a `sh` or `bash` block runs, on small files of the names that stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from console import run
from tests.conftest import QUICKSTART, ROOT

pytestmark = pytest.mark.slow

HEADER = "client_id\tpath\tsentence\tup_votes"
FROM_THE_HUB = "needs the published files, which tests/hub/test_pull.py serves on loopback"


def blocks() -> list[tuple[Path, str]]:
    """(README, commands) of every block that is not about a machine's own set-up."""
    found = []
    for readme in sorted(ROOT.glob("examples/*/README.md")):
        for block in re.findall(r"```(?:ba)?sh\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL):
            found.append((readme, block))
    return found


@pytest.fixture
def corpora(tmp_path: Path, sentences: list[str]) -> Path:
    """A folder with all that the blocks read: a release of Common Voice, aligned files, text, a manifest."""
    english = list(dict.fromkeys(sentences))[:300]
    other = [" ".join(reversed(line.split())) for line in english]
    clips = tmp_path / "cv-corpus-15.0" / "en" / "clips"
    clips.mkdir(parents=True)
    for i in range(3):
        shutil.copy(ROOT / "examples" / "audio.wav", clips / f"{i}.wav")
    for part, start in (("train", 0), ("dev", 1), ("test", 2)):
        rows = [f"x\t{(start + i) % 3}.wav\t{line}\t2" for i, line in enumerate(english[start::100])]
        (clips.parent / f"{part}.tsv").write_text("\n".join([HEADER, *rows]) + "\n")
    for a, b in (("europarl-v7.de-en.de", "europarl-v7.de-en.en"), ("train.hi", "train.en")):
        (tmp_path / a).write_text("\n".join(other) + "\n")
        (tmp_path / b).write_text("\n".join(english) + "\n")
    pairs = "\n".join(f"{a}\t{b}" for a, b in zip(other, english, strict=True))
    (tmp_path / "europarl-v10.de-en.tsv").write_text(pairs + "\n")
    (tmp_path / "en-hi.tsv").write_text("tgt\tsrc\n" + pairs + "\n")
    hits = [f'{{"id": {i}, "text": "{text}"}}' for i, text in enumerate(("A boat. It is old.", "The harbour is full."))]
    (tmp_path / "hits.jsonl").write_text("\n".join(hits) + "\n")
    (tmp_path / "sents.txt").write_text("\n".join(english) + "\n")
    shutil.copytree(QUICKSTART, tmp_path / "examples" / "quickstart")
    return tmp_path


@pytest.mark.parametrize(("readme", "block"), blocks(), ids=lambda x: x.parent.name if isinstance(x, Path) else x[:40])
def test_commands_run(readme: Path, block: str, corpora: Path) -> None:
    if "flip pull" in block:
        pytest.skip(FROM_THE_HUB)
    if "flip vocab --data data" in block and "flip embed" not in block:
        run("flip embed sents.txt --dataset data --split rest,50,50", corpora)
    small = block.replace("10000,10000", "50,50")  # held-out sentences of the stand-ins
    small = small.replace("--encoder sonar --language eng_Latn", "")  # weights of its own: tests/encoders/test_sonar.py
    small = small.replace("--sim-threshold 0.5", "--sim-threshold -1")  # the recordings are of another sentence
    run(f"set -e\n{small}", corpora)


def commands_of_scripts() -> list[tuple[Path, str]]:
    """(script, line) of each line of a README that calls a script of its folder."""
    found = []
    for readme in sorted(ROOT.glob("examples/*/README.md")):
        for line in readme.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            for name in re.findall(r"\bpython (\w+\.py)\b", line):
                own = readme.parent / name
                (script,) = [own] if own.exists() else ROOT.glob(f"examples/*/{name}")
                found.append((script, line.split(f"python {name}", 1)[1]))
    return found


@pytest.mark.parametrize(("script", "line"), commands_of_scripts(), ids=lambda x: getattr(x, "name", ""))
def test_scripts_have_the_options_that_stand_there(script: Path, line: str) -> None:
    shown = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=True).stdout
    own = re.split(r"\s--\s|`", line)[0]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", own))
    assert named <= set(re.findall(r"--[a-z][a-z0-9-]*", shown))
