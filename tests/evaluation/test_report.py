"""The report, also in a real browser: `apt-get install chromium chromium-driver`, then `pytest -m browser`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flip.evaluation.report import comparison_rows, summary_rows
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
    assert page.count("<svg") == 1
    for external in ('src="', "url(http", "@import", '<link rel="stylesheet'):
        assert external not in page.replace("src=x", "")


@pytest.mark.browser
@needs_browser
def test_searching_and_sorting(report: Path, chromium: Any) -> None:
    import orjson

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
    chromium.find_element("css selector", "#side option[value=no_bias]").click()
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
