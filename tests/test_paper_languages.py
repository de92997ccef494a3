"""examples/paper in many languages: a corpus of help pages, tables 3 to 5, the bias towards English, sentence pairs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import QUICKSTART, ROOT, Flip

pytestmark = pytest.mark.slow

PAPER = ROOT / "examples" / "paper"
TRAINING = ("--", "--no-scale-bias", "--no-calibrate", "--epochs", 2)


def script(name: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, PAPER / name, *map(str, args)], capture_output=True, text=True, check=False)


def made(name: str, *args: object) -> str:
    done = script(name, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cells(table: str) -> list[list[str]]:
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in table.splitlines()]


def lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


@pytest.fixture
def corpus(here: Path) -> Path:
    """Sentences of the quickstart; in `xx` the letters of each word are reversed, and `yy` lacks every other word."""
    (here / "help").mkdir()
    every = (QUICKSTART / "train.txt").read_text(encoding="utf-8").splitlines()
    for part, rows in (("train", every[:200]), ("dev", every[200:240]), ("test", every[240:300])):
        sides = {
            "en": rows,
            "xx": [" ".join(word[::-1] for word in row.split()) for row in rows],
            "yy": [" ".join(row.split()[::2]) for row in rows],
        }
        for side, texts in sides.items():
            (here / "help" / f"{part}.{side}").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return here / "help"


SENTENCES = {
    "en-US": "Choose the file {} of page {}.",
    "de": "Wähle die Datei {} auf Seite {}.",
    "zh-CN": "选择{}文件，页{}。",
}


def help_pages(folder: Path, number: int) -> None:
    """Each page has three sentences of its own and one that all have; the first is not translated into Chinese."""
    for language, sentence in SENTENCES.items():
        (folder / language).mkdir()
        for page in range(number):
            names = [(f"own{page}{i}", page) for i in range(3)] + [("common", "any")]
            texts = [sentence.format(*name) for name in names]
            if language == "zh-CN":
                texts[0] = ""
            rows = "".join(f'<p id="par_{i}">{text}</p>' for i, text in enumerate(texts))
            (folder / language / f"{page}.html").write_text(f"<html><body>{rows}</body></html>", encoding="utf-8")


def test_parts_of_help_pages_are_aligned_in_all_languages_and_share_no_page(here: Path) -> None:
    help_pages(here, 8)
    assert (
        made("bitext.py", here, "de", "zh-CN", "help", "--parts", 6, 3, 3) == "17 pairs\n"
    )  # two of each page, and one
    pages, english = [], []
    for part, size in (("train", 6), ("dev", 3), ("test", 3)):
        sides = [lines(f"help/{part}.{side}") for side in ("en", "de", "zh-CN")]
        names = [text.split()[3] for text in sides[0]]
        assert names == [text.split()[3] for text in sides[1]] and len(names) == size
        assert sides[2] == [SENTENCES["zh-CN"].format(name, text.split()[-1][:-1]) for name, text in
                            zip(names, sides[0], strict=True)]  # fmt: skip
        assert not any(name.endswith("0") for name in names)
        pages.append({name[3] for name in names if name != "common"})
        english += sides[0]
    assert len({*english}) == 12 and sum(map(len, pages)) == len(set().union(*pages))
    done = script("bitext.py", here, "de", "zh-CN", "help", "--parts", 80, 4, 4)
    assert done.returncode == 1 and done.stderr == (
        "error: --parts needs 88 rows, and there are 17\nhint:  ask for fewer\n"
    )


def test_each_language_beside_english_is_measured_once(corpus: Path) -> None:
    command = ("languages.py", corpus, "--encoder", "minilm", "--rank", 16, *TRAINING)
    assert made(*command) == "paper/minilm/xx.json\npaper/minilm/yy.json\n"
    found = {name: json.loads(Path(f"paper/minilm/{name}.json").read_text()) for name in ("xx", "yy")}
    for name, one in found.items():
        assert (one["encoder"], one["language"], one["sentences"]) == ("minilm", name, 200)
        for table in (one["table3"], one["table4"]):
            sides = [(words, side["own"], side["other"]) for words, side in table.items()]
            assert sides == [("en", "en", name), (name, name, "en")]
        english, own = one["table4"]["en"], one["table4"][name]
        assert english["accuracy"]["n"] == own["accuracy"]["n"] == one["english_bias"]["n"] == 60
        gap = english["other_accuracy"]["mean"] - own["accuracy"]["mean"]
        assert one["english_bias"]["mean"] == pytest.approx(gap)
    tables = found["yy"]["table4"]
    apart = tables["en"]["other_accuracy"]["se"] ** 2 + tables["yy"]["accuracy"]["se"] ** 2
    assert 0 < found["yy"]["english_bias"]["se"] ** 2 < apart  # a sentence hard in one language is hard in the other
    beside = [one["table3"]["en"]["accuracy"] for one in found.values()]
    assert beside[0] == beside[1]  # of the same English sentences, by the same model
    assert found["yy"]["table3"]["en"]["difference"]["mean"] > found["xx"]["table3"]["en"]["difference"]["mean"]

    kept = {path: path.stat().st_mtime_ns for path in Path("paper").rglob("*") if path.is_file()}
    made(*command)
    assert kept == {path: path.stat().st_mtime_ns for path in Path("paper").rglob("*") if path.is_file()}
    with (corpus / "test.yy").open("r+", encoding="utf-8") as file:
        file.write("Other")
    made(*command)
    changed = {path for path, time in kept.items() if path.stat().st_mtime_ns != time}
    assert {Path("paper/minilm/yy.json"), Path("paper/minilm/embedded/test.yy.npy")} <= changed
    embedded = {path.name for path in changed if path.parent.name == "embedded"}
    assert all(name.startswith("test.yy.") for name in embedded)
    assert not any(path.name == "xx.json" or "xx" in path.parts for path in changed)


def test_languages_and_encoders_are_printed_beside_the_paper(corpus: Path) -> None:
    made("languages.py", corpus, "--encoder", "minilm", "--name", "A", "--languages", "yy", "--rank", 16, *TRAINING)
    found = json.loads(Path("paper/A/yy.json").read_text())
    for name in ("A", "B"):  # more of the same, by another encoder and of another language
        Path("paper", name).mkdir(exist_ok=True)
        for language in ("yy", "de"):
            one = found | {"encoder": name, "language": language}
            for table in ("table3", "table4"):
                one[table] = {"en": found[table]["en"], language: found[table]["yy"]}
            Path(f"paper/{name}/{language}.json").write_text(json.dumps(one))
    tables = made("language_tables.py", "paper/B", "paper/A", "--plot", "b.svg").split("\n\n")
    for table in tables:
        heading, _, *rows = cells(table.strip())
        assert all(len(row) == len(heading) for row in rows)
        keys = [(language, encoder) for language, encoder, *_ in rows]
        german = [encoder for language, encoder in keys if language == "de"]
        assert german[:3] == ["B", "A", "SONAR, paper"]
        assert keys[len(german) : len(german) + 2] == [("yy", "B"), ("yy", "A")]
        assert {language for language, _ in keys[len(german) + 2 :]} == {"fr", "bn", "hi", "ta", "te"}
    (row,) = (row for row in cells(tables[1].strip()) if row[:2] == ["de", "A"])
    english, own = found["table4"]["en"], found["table4"]["yy"]
    estimates = (english["accuracy"], english["other_accuracy"], own["accuracy"], own["other_accuracy"])
    assert row[2:6] == [f"{100 * one['mean']:.2f} ± {100 * one['se']:.2f}" for one in estimates]
    assert row[6] == f"{100 * found['english_bias']['mean']:+.2f} ± {100 * found['english_bias']['se']:.2f}"
    drawn = Path("b.svg").read_text(encoding="utf-8")
    assert all(f">{name}<" in drawn for name in ("A", "B", "SONAR, paper", "de", "yy"))

    Path("paper/B/de.json").write_text(json.dumps(found | {"sentences": 100}))
    done = script("language_tables.py", "paper/A", "paper/B")
    assert done.returncode == 1 and done.stderr.startswith("error: trained on [100, 200] sentences\nhint:")


def test_a_language_that_the_corpus_lacks_is_one_error(corpus: Path) -> None:
    done = script("languages.py", corpus, "--encoder", "minilm", "--languages", "de")
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
    assert done.stderr.startswith(f"error: there is no {corpus}/train.de, ") and "--parts" in done.stderr


def test_sentence_pairs_are_read_from_either_side(here: Path, run_folder: Path, flip: Flip) -> None:
    rows = (QUICKSTART / "test.txt").read_text(encoding="utf-8").splitlines()[:60]
    for code, texts in (("deu", rows), ("spa", [" ".join(row.split()[::2]) for row in rows])):
        for side, own in (("eng", rows), (code, texts)):
            (here / f"tatoeba.{code}-eng.{side}").write_text("".join(f"{text}\n" for text in own), encoding="utf-8")
    heading, _, *found = cells(made("pairs.py", here, "--model", run_folder, "--encoder", "minilm").strip())
    assert heading[0] == "language" and [row[0] for row in found] == ["deu", "spa"]
    german, spanish = found
    assert german[1] == german[2] and german[3] == german[4]  # both sides are the same text
    assert float(spanish[2].split()[0]) < float(spanish[1].split()[0])
    moved = flip("eval", "--model", run_folder, "--data", "pairs/datasets.yaml", "--dataset", "spa", "--text", "en",
                 "--recentre", "--metrics", "accuracy", "--tokens", "published", "--json").records  # fmt: skip
    accuracy = {one["embedding"]: one["metrics"]["accuracy"]["bias"] for one in moved}
    assert spanish[3:5] == [
        f"{100 * accuracy[side]['mean']:.2f} ± {100 * accuracy[side]['se']:.2f}" for side in ("en", "spa")
    ]
    assert german[-1] == "60"
