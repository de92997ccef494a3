"""The report, also in a real browser: `apt-get install chromium chromium-driver`, then `pytest -m browser`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from flip.evaluation.report import comparison_rows, models_table
from flip.evaluation.results import summary_rows
from flip.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from flip.text.vocabulary import Vocabulary
from tests.browser import needs_browser
from tests.conftest import Flip

NASTY = "<script>window.broken = 1</script> The cat & the dog"
CLOSING = '</script><img src=x onerror="window.broken = 2"> {{data}} {{plots}}'
NAME = r"b<i> {{data}} $\frac{1$"  # no markup, no field, no mathematics
SENTENCES = ["The train to Boston was late.", "A cat sat on the mat.", NASTY, CLOSING, "Zebras like rain."]


@pytest.fixture
def report(flip: Flip, here: Path, run_folder: Path, minilm) -> Path:
    np.save("a.npy", minilm.encode(SENTENCES))
    np.save("b.npy", minilm.encode([text.lower() for text in SENTENCES]))
    (here / "a.txt").write_text("\n".join(SENTENCES) + "\n")
    (here / "d.yaml").write_text(
        f"test: {{embeddings: [{{id: a, file: a.npy}}, {{id: '{NAME}', file: b.npy}}], "
        "texts: [{id: t, file: a.txt}]}"
    )
    done = flip("eval", "--model", run_folder, "--data", "d.yaml", "--metrics", "all", "--report", "r.html")
    assert done.code == 0, done.err
    return here / "r.html"


def test_the_file_is_self_contained_and_holds_user_text_as_text(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert "window.broken = 1</script>" not in page
    assert "<img" not in page
    assert "b<i>" not in page
    assert NAME.replace("<", "&lt;").replace(">", "&gt;") in page
    assert page.count("<svg") == 3
    for external in ('src="', "url(http", "@import", '<link rel="stylesheet'):
        assert external not in page.replace("src=x", "")
    assert "default-src 'none'" in page and page.count("<script>") == page.count("<style>") == 1


@pytest.fixture
def of_two(flip: Flip, here: Path, run_folder: Path, minilm) -> Path:
    """The report of two models: the second knows "zebras", and calls so what the first calls "train"."""
    whole = load_checkpoint(run_folder)
    words = tuple("zebras" if word == "train" else word for word in whole.vocabulary.words)
    save_checkpoint(
        here / "other", Checkpoint(whole.model, Vocabulary(words, whole.vocabulary.tokenizer), whole.config)
    )
    np.save("a.npy", minilm.encode(SENTENCES))
    (here / "a.txt").write_text("\n".join(SENTENCES) + "\n")
    (here / "d.yaml").write_text("test: {embeddings: [{id: a, file: a.npy}], texts: [{id: t, file: a.txt}]}")
    models = ("--model", run_folder, "--model", "other")
    done = flip("compare", *models, "--data", "d.yaml", "--report", "r.html", "--details", "details.jsonl")
    assert done.code == 0, done.err
    return here / "r.html"


def test_what_two_models_make_of_a_sentence_and_of_a_word_stands_together(of_two: Path, run_folder: Path) -> None:
    page = of_two.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    data = orjson.loads(found)
    details = [orjson.loads(line) for line in (of_two.parent / "details.jsonl").read_bytes().splitlines()]
    assert data["models"] == [str(run_folder), "other"] and data["sides"] == ["bias", "no_bias"]
    texts = ["".join(part if isinstance(part, str) else part[0] for part in parts) for parts, _ in data["sentences"]]
    assert texts == SENTENCES
    for i, (_, row) in enumerate(data["sentences"]):
        for model, one in enumerate(row):
            detail = details[model * len(SENTENCES) + i]["bias"]
            accuracy, shown, missed = one[0]
            assert accuracy == pytest.approx(detail["accuracy"], abs=1e-4)
            surface = load_checkpoint((run_folder, "other")[model]).vocabulary.surface
            named = [(surface(k["word"]), k["hit"]) for k in detail["keywords"]]
            assert [(word, bool(hit)) for word, *_, hit in shown] == named
            keywords = {k["word"] for k in detail["keywords"]}
            assert missed == [surface(word) for word in detail["misses"] if word not in keywords]
    marks = {part[0]: part[1] for parts, _ in data["sentences"] for part in parts if not isinstance(part, str)}
    assert (marks["train"], marks["Zebras"], marks["Boston"]) == ([1], [0], [0, 1])
    assert "cat" not in marks
    words = dict(data["words"])
    assert (words["train"][1], words["zebras"][0], words["zebras"][1][0]) == (None, None, 1)
    of_first = details[: len(SENTENCES)]
    assert words["the"][0][0] == sum("the" in one["reference"] for one in of_first) == 3
    assert words["the"][0][1:] == [sum("the" in one[side]["hits"] for one in of_first) for side in ("bias", "no_bias")]


@pytest.mark.browser
@needs_browser
def test_words_and_sentences_by_model(of_two: Path, chromium: Any) -> None:
    chromium.get(of_two.as_uri())

    def choose(value: int) -> None:
        chromium.find_element("css selector", f"#model option[value='{value}']").click()

    def cells(selector: str) -> list[list[str]]:
        rows = chromium.find_elements("css selector", selector)
        return [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in rows]

    captions = [one.text for one in chromium.find_elements("css selector", "#words caption")]
    assert captions == ["Found best", "Found worst"]
    best, worst = (cells(f"#words .wide:nth-child({i}) tbody tr") for i in (1, 2))
    assert best[0][0] == "the" and best[0][1].endswith(" of 3")
    shares = [eval(row[1].replace("of", "/")) for row in worst]
    assert shares[0] == min(shares) < max(shares)
    lines = chromium.find_elements("css selector", "#sentences tbody tr:first-child .line .model")
    assert [line.text for line in lines] == [cells("#words thead tr")[0][1], "other"]
    assert [one.text for one in chromium.find_elements("css selector", "#sentences tbody tr .unknown")][:2] == [
        "train",
        "Boston",
    ]
    choose(1)
    assert "zebras" in [row[0] for row in cells("#words tbody tr")]
    assert "train" not in [row[0] for row in cells("#words tbody tr")]
    choose(2)
    assert [one.text for one in chromium.find_elements("css selector", "#words caption")] == ["Most different"]
    heading = chromium.find_element("css selector", "button[data-key=accuracy]")
    assert heading.text == "Difference"
    heading.click()
    heading.click()
    differences = [int(row[1].split()[0]) for row in cells("#sentences tbody tr") if row[1] != "–"]
    assert differences == sorted(differences, reverse=True)
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.browser
@needs_browser
def test_searching_and_sorting(report: Path, chromium: Any) -> None:
    chromium.get(report.as_uri())

    def column(i: int) -> list[str]:
        rows = chromium.find_elements("css selector", "#sentences tbody tr")
        return [row.find_elements("tag name", "td")[i].text for row in rows]

    def click(key: str) -> None:
        chromium.find_element("css selector", f"button[data-key={key}]").click()

    assert column(0) == SENTENCES
    click("text")
    assert column(0) == sorted(SENTENCES, key=str.lower)
    click("text")
    assert column(0) == sorted(SENTENCES, key=str.lower, reverse=True)
    click("accuracy")
    shares = [-1.0 if cell == "–" else float(cell.split()[0]) for cell in column(1)]
    assert shares == sorted(shares)
    search = chromium.find_element("id", "search")
    search.send_keys("ZEBRAS rain")
    assert column(0) == ["Zebras like rain."]
    assert chromium.find_element("id", "count").text == "1 sentence"
    search.clear()
    search.send_keys("<script>")
    assert NASTY in column(0)
    search.clear()
    chromium.execute_script("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", search)
    assert len(column(0)) == len(SENTENCES)
    chromium.find_element("css selector", "#side option[value='1']").click()
    assert len(column(2)) == len(SENTENCES)
    assert chromium.execute_script("return window.broken === undefined")
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
    events = [orjson.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    urls = {one["request"]["url"] for one in sent if one["documentURL"] == report.as_uri()}
    assert urls <= {report.as_uri(), "data:,"}
    assert report.as_uri() in urls


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_colour_schemes(report: Path, chromium: Any, scheme: str) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    chromium.get(report.as_uri())
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= 360
    cut = "return [...document.querySelectorAll('.wide')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert chromium.execute_script(cut) == 0
    background = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("width", [320, 390, 640])
def test_numbers_do_not_run_together_on_a_phone(of_two: Path, chromium: Any, width: int) -> None:
    phone = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    chromium.get(of_two.as_uri())
    chromium.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    boxes = chromium.execute_script("""
        return [...document.querySelectorAll(".wide tr")].map((row) => [...row.children].map((cell) => {
            const text = document.createRange();
            text.selectNodeContents(cell);
            const { left, right, top, bottom } = text.getBoundingClientRect();
            return [left, right, top, bottom];
        }).filter(([left, right]) => right > left));
    """)
    assert sum(len(row) > 2 for row in boxes) > 5
    for row in boxes:
        for i, (left, right, top, bottom) in enumerate(row):
            assert left >= 0 and right <= width
            for other_left, other_right, other_top, other_bottom in row[:i]:
                beside = other_right + 4 <= left or right + 4 <= other_left
                assert beside or other_bottom <= top + 1 or bottom <= other_top + 1
    labels = chromium.execute_script(
        "return [...document.querySelectorAll('.wide td:not(:first-child)')].map((cell) => cell.dataset.label)"
    )
    assert {"with b", "without b", "most frequent words", "other", "accuracy"} <= set(labels) and None not in labels


def test_words_are_shown_as_people_write_them(flip: Flip, here: Path, run_folder: Path, minilm: Any) -> None:
    whole = load_checkpoint(run_folder)
    vocabulary = Vocabulary(whole.vocabulary.words, whole.vocabulary.tokenizer, {"train": "Train's"})
    save_checkpoint(here / "written", Checkpoint(whole.model, vocabulary, whole.config))
    texts = ["The train was late.", "A cat sat on the mat."]
    np.save("a.npy", minilm.encode(texts))
    (here / "a.txt").write_text("\n".join(texts) + "\n")
    (here / "d.yaml").write_text("test: {embeddings: [{id: a, file: a.npy}], texts: [{id: t, file: a.txt}]}")
    assert flip("eval", "--model", "written", "--data", "d.yaml", "--report", "r.html").code == 0
    (found,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', Path("r.html").read_text(), re.S)
    data = orjson.loads(found)
    words = [name for name, _ in data["words"]]
    assert "Train's" in words and "train" not in words
    [_, shown, missed] = data["sentences"][0][1][0][0]
    assert "Train's" in [*(name for name, *_ in shown), *missed]


def test_summary_rows_are_percent_but_for_losses() -> None:
    metrics = {
        "accuracy": {"bias": {"mean": 0.5, "se": 0.01, "n": 9}, "no_bias": {"mean": float("nan"), "se": 0, "n": 0}},
        "content_recall": {"mean": 0.6, "se": 0.01, "n": 9},
        "known_words": {"mean": 0.9, "se": 0.01, "n": 9},
        "precision": {"no_bias": {"mean": 0.25, "se": 0.0, "n": 9}},
        "perplexity": {"mean": 93.5, "se": 2.0, "n": 9},
        "threshold_f1": {"mean": 0.75, "se": 0.01, "n": 9, "threshold": 0.3},
        "log_loss": {"mean": 0.25209, "se": 0.0032, "n": 9},
        "sparsity": {"value": 0.125},
        "curve": {},
    }
    frequent = {"content_recall": {"mean": 0.05, "se": 0.0, "n": 9}}
    assert summary_rows({"metrics": metrics, "most_frequent_words": frequent}, 7) == [
        ("accuracy over known words", "50.00 ± 1.00", "-", ""),
        ("content-word recall at 7", "60.00 ± 1.00", "", "5.00 ± 0.00"),
        ("words known", "90.00 ± 1.00", "", ""),
        ("precision at 7", "-", "25.00 ± 0.00", ""),
        ("perplexity", "93.50 ± 2.00", "", ""),
        ("F1 of the words above a probability (0.30)", "75.00 ± 1.00", "", ""),
        ("log loss of the words shown", "0.2521 ± 0.0032", "", ""),
        ("sparsity of A", "12.50", "", ""),
    ]
    assert comparison_rows({"metrics": metrics}) == []


def test_models_beside_each_other_have_every_figure_that_one_of_them_has() -> None:
    sure, few = {"value": 0.5, "low": 0.49, "high": 0.51}, {"value": 0.25, "low": math.nan, "high": math.nan}
    about = {"dataset": "d", "embedding": "e"}
    first = {"model": "a", "intervals": {"accuracy": sure, "names": few}} | about
    heading, rows = models_table([first, {"model": "b", "intervals": {"all_words": sure}} | about])
    assert heading == ["model", "accuracy", "all words", "names"]
    assert rows == [["a", "50.00 ± 1.00", "-", "25.00"], ["b", "-", "50.00 ± 1.00", "-"]]
