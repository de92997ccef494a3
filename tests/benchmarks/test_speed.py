"""Start-up, encoder, stream and vocabulary: `pytest --benchmark -s tests/benchmarks/test_speed.py`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from flip.encoders import Encoder
from flip.explain.explainer import BATCH, Explainer
from flip.inputs.record import Record
from flip.model.checkpoint import load_checkpoint
from tests.benchmarks.conftest import seconds
from tests.encoders.test_minilm import official_folder

pytestmark = pytest.mark.benchmark

SENTENCE = "Eisen was born in Brooklyn, New York and was raised on Staten Island."
BASELINE = """
import sys
from sentence_transformers import SentenceTransformer
SentenceTransformer(sys.argv[1], device="cpu").encode([sys.argv[2]])
"""


def test_cold_start() -> None:
    def run(*command: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True), 5)

    explain = run("-m", "flip", "explain", SENTENCE)
    baseline = run("-c", BASELINE, str(official_folder()), SENTENCE)
    print(f"\nflip explain, cold: {explain:.2f} s")
    print(f"script with sentence-transformers: {baseline:.2f} s, {baseline / explain:.1f} times as long")
    print(f"flip --help: {run('-m', 'flip', '--help'):.2f} s")


def test_encoder(minilm: Encoder, corpus: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    official = SentenceTransformer(str(official_folder()), device="cpu")
    texts = corpus[:4000]
    ratios = []
    for _ in range(5):  # one after the other, so that both see the same machine
        ours = seconds(lambda: minilm.encode(texts), 1)
        theirs = seconds(lambda: official.encode(texts, show_progress_bar=False), 1)
        ratios.append(theirs / ours)
        print(f"\nminilm {len(texts) / ours:.0f}/s; its official library {len(texts) / theirs:.0f}/s", end="")
    print(f"\nratio: median {sorted(ratios)[2]:.2f} of {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


def test_stream(minilm: Encoder, corpus: list[str]) -> None:
    """Both are counted from the first record; the encoder gets the batches that the stream makes."""
    texts = (corpus * 5)[:5000]
    explainer = Explainer(load_checkpoint(), lambda: minilm)
    shares = []
    for _ in range(3):
        started = None
        for _ in explainer.stream(Record(where="", text=text) for text in texts):
            started = started or time.perf_counter()
        assert started
        stream = time.perf_counter() - started
        batches = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
        minilm.encode(batches[0])
        alone = seconds(lambda batches=batches: [minilm.encode(batch) for batch in batches[1:]], 1)
        shares.append(alone / stream)
        print(f"\nexplain {len(texts) / stream:.0f}/s; encoder alone {len(texts) / alone:.0f}/s", end="")
    print(f"\nexplain reaches {100 * sorted(shares)[1]:.0f}% of the encoder's throughput (median of 3)")


PEAK = "[line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1]"


def test_stream_memory(tmp_path: Path) -> None:
    code = f"import sys; from flip.cli.app import main; main(['explain', sys.argv[1]]);print({PEAK}, file=sys.stderr)"
    print()
    for lines in (1_000, 10_000):
        (tmp_path / "in.txt").write_text("The train to Boston was late again this morning.\n" * lines)
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "in.txt")], capture_output=True, text=True)
        print(f"explain of {lines} lines: peak {int(done.stderr.split()[-1]) / 1024:.0f} MiB")


def test_vocabulary(corpus: list[str], tmp_path: Path) -> None:
    """A process of its own for each side, so that its peak is its own; the baseline keeps no text either."""
    ours = """
from flip.inputs.records import read_texts
from flip.text.tokenize import Tokenizer
from flip.text.vocabulary import build_vocabulary
words = list(build_vocabulary(read_texts([sys.argv[1]]), Tokenizer(), max_features=None).words)
"""
    theirs = """
from sklearn.feature_extraction.text import CountVectorizer
from flip.text.tokenize import normalize
lines = open(sys.argv[1], encoding="utf-8")
words = sorted(CountVectorizer(token_pattern=r"(?u)\\b\\w\\w+\\b", preprocessor=normalize).fit(lines).vocabulary_)
"""
    report = f"import hashlib; print({PEAK}, len(words), hashlib.sha256(repr(words).encode()).hexdigest())"
    print()
    for lines in (170_000, 1_700_000):
        path = tmp_path / "lines.txt"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(corpus[i % len(corpus)] + "\n" for i in range(lines))
        results = {}
        for name, code in (("flip vocab", ours), ("CountVectorizer", theirs)):
            started = time.perf_counter()
            command = [sys.executable, "-c", f"import sys\n{code}\n{report}", str(path)]
            peak, words, digest = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            took = time.perf_counter() - started
            results[name] = digest
            size = path.stat().st_size / 2**20
            peak_mib = int(peak) / 1024
            print(f"{name}: {lines} lines, {size:.0f} MiB: {words} words, {took:.1f} s, peak {peak_mib:.0f} MiB")
        assert len(set(results.values())) == 1
