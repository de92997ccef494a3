"""The page of `flip explain --html`, also in a real browser, see tests/browser.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from flip import Explainer, load_checkpoint
from flip.explain.page import write_page
from flip.explain.results import Explanation, Failure, Input
from tests.browser import needs_browser
from tests.conftest import Flip

NASTY = "<script>window.broken = 1</script> The cat & the dog"
CLOSING = "</script><!--<script><img src=x onerror='window.broken = 2'> {{ 7*7 }} train"
SENTENCES = [
    "The train to Boston was late.",
    NASTY,
    CLOSING,
    "Eisen was born in Brooklyn.",
    "",
    "Zebras \u202e like rain.",
]


@pytest.fixture
def explainer(minilm: Any) -> Explainer:
    return Explainer(load_checkpoint(), lambda: minilm, topn=10, extra=64)


@pytest.fixture
def page(flip: Flip, here: Path) -> Path:
    (here / "in.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    done = flip("explain", "in.txt", "--html", "out.html")
    assert done.code == 0, done.err
    assert done.records == [{"html": "out.html", "records": 6, "failed": 0}]
    return here / "out.html"


def data(page: str, name: str) -> list[Any]:
    found = re.findall(rf'<script type="application/json" class="{name}">(.*?)</script>', page, re.DOTALL)
    return [item for chunk in found for item in orjson.loads(chunk)]


def test_texts_are_data_that_nothing_in_them_can_leave(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 3  # an index, the records, and the code that shows them
    assert "<img" not in text
    assert "<!--" not in text
    rows = data(text, "records")
    written = ["".join(m if isinstance(m, str) else m[0] for m in row["marks"]) for row in rows]
    assert written == SENTENCES
    assert data(text, "index")[0] == [1.0, 0]
    assert data(text, "index")[4] == [None, None]
    for external in ("http:", "https:", "url(", "@import", " src=", ' href="/'):
        assert external not in text.replace("src=x", "")


def test_the_policy_allows_only_the_content_of_the_page(page: Path) -> None:
    import base64
    import hashlib

    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert not re.search(r"\son\w+=|\sstyle=", text.split("application/json")[0])


def test_records_are_written_as_they_come(explainer: Explainer, tmp_path: Path) -> None:
    ahead = 0

    def endless(n: int) -> Iterator[Explanation | Failure]:
        nonlocal ahead
        for i in range(n):
            ahead = i + 1
            yield Failure(i, Input(), "bad <b>")

    written: list[tuple[int, int]] = []
    n = write_page(
        tmp_path / "o.html",
        endless(1200),
        explainer.checkpoint,
        least=0.3,
        on_record=lambda n: written.append((n, ahead)),
    )
    assert n == 1200
    assert written == [(500, 500), (1000, 1000), (1200, 1200)]
    rows = data((tmp_path / "o.html").read_text(), "records")
    assert [row["id"] for row in rows] == list(range(1200))
    assert rows[0]["error"] == "bad <b>"


def test_a_failure_leaves_the_page_before(explainer: Explainer, tmp_path: Path) -> None:
    (tmp_path / "o.html").write_text("before")

    def broken() -> Iterator[Explanation | Failure]:
        yield Failure(1, Input(), "x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "o.html", broken(), explainer.checkpoint, least=0.3)
    assert [path.name for path in tmp_path.iterdir()] == ["o.html"]
    assert (tmp_path / "o.html").read_text() == "before"


def test_a_name_that_is_not_text(explainer: Explainer, tmp_path: Path) -> None:
    result = Explanation(1, Input(audio="a\udce9.wav"), ())
    write_page(tmp_path / "o.html", [result], explainer.checkpoint, least=0.3)
    assert "\\udce9" in (tmp_path / "o.html").read_text(encoding="utf-8")


def test_embeddings_with_their_sentences(flip: Flip, fails: Callable[..., str], here: Path, minilm: Any) -> None:
    texts = [text for text in SENTENCES if text]
    np.save("u.npy", minilm.encode(texts))
    Path("u.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    done = flip("explain", "u.npy", "--encoder", "minilm", "--sentences", "u.txt")
    assert [(record["row"], record["text"]) for record in done.records] == list(enumerate(texts))
    assert done.records[0]["words"][3]["surface"] == "Boston"
    assert done.records[0]["words"][3]["probability"] > 0.9
    assert flip("explain", "u.npy", "--encoder", "minilm", "--sentences", "u.txt", "--html", "u.html").code == 0
    assert data(Path("u.html").read_text(encoding="utf-8"), "records")[0]["title"] == "row 0"
    Path("short.txt").write_text("\n".join(texts[1:]) + "\n", encoding="utf-8")
    err = fails(3, "explain", "u.npy", "--sentences", "short.txt")
    assert "short.txt has fewer sentences than the 5 rows" in err
    assert "--sentences needs one .npy" in fails(2, "explain", "u.txt", "--sentences", "u.txt")
    assert "--sentences needs one .npy" in fails(2, "explain", "a word " * 500, "--sentences", "u.txt")
    assert "would overwrite it" in fails(2, "explain", "u.txt", "--html", "u.txt")


def test_a_record_that_failed_is_on_the_page_too(fails: Callable[..., str], here: Path) -> None:
    Path("in.jsonl").write_text('{"text": "A cat."}\n{"text": 3}\n')
    err = fails(3, "explain", "in.jsonl", "--html", "o.html")
    assert "1 of 2 records" in err
    assert data(Path("o.html").read_text(), "records")[1]["error"]


def test_one_long_sentence(flip: Flip, here: Path) -> None:
    assert flip("explain", "The train was late. " * 300, "--html", "o.html").records[0]["records"] == 1
    assert flip("explain", "The train was late. " * 300, "--html", "o.html").code == 0  # written over
    (row,) = data(Path("o.html").read_text(encoding="utf-8"), "records")
    assert row["notes"] == ["truncated: longer than the encoder reads"]
    states = [mark[1] for mark in row["marks"] if not isinstance(mark, str)]
    assert states == sorted(states, key=lambda state: state == 4) and states[-1] == 4  # not read, to the end


def shown(chromium: Any, column: int) -> list[str]:
    rows = chromium.find_elements("css selector", "#records tbody tr")
    return [row.find_elements("tag name", "td")[column].text for row in rows]


def searched(chromium: Any, text: str) -> list[str]:
    """Return the texts that are shown after a search."""
    from selenium.webdriver.support.ui import WebDriverWait

    box = chromium.find_element("id", "search")
    chromium.execute_script("document.getElementById('count').textContent = 'waiting'")
    chromium.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", box, text
    )
    WebDriverWait(chromium, 60).until(lambda d: "record" in d.find_element("id", "count").text)
    return [cell.splitlines()[0] if cell else "" for cell in shown(chromium, 3)]


@pytest.mark.browser
@needs_browser
def test_it_is_sorted_and_searched_without_a_network(page: Path, chromium: Any) -> None:
    chromium.get(page.as_uri())
    assert shown(chromium, 0) == ["1", "2", "3", "4", "5", "6"]
    assert shown(chromium, 3)[1].splitlines()[0] == NASTY
    chromium.find_element("css selector", "button[data-key=kept]").click()
    shares = [float(cell[:-1]) for cell in shown(chromium, 1) if cell != "–"]
    assert shares == sorted(shares)
    assert shown(chromium, 1)[-1] == "–"
    chromium.find_element("css selector", "button[data-key=lost]").click()
    chromium.find_element("css selector", "button[data-key=lost]").click()
    lost = [int(cell) for cell in shown(chromium, 2) if cell != "–"]
    assert lost == sorted(lost, reverse=True)
    chromium.find_element("css selector", "button[data-key=order]").click()
    assert searched(chromium, "BOSTON late") == [SENTENCES[0]]
    assert chromium.find_element("id", "count").text == "1 record of 6"
    assert searched(chromium, "<script>") == [NASTY, CLOSING]
    assert len(searched(chromium, "")) == 6
    states = {e.get_attribute("class") for e in chromium.find_elements("css selector", "tbody .word")}
    assert {"word kept", "word unknown"} <= states
    assert chromium.execute_script("return window.broken === undefined")
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
    events = [orjson.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    urls = {one["request"]["url"] for one in sent if one["documentURL"] == page.as_uri()}
    assert urls <= {page.as_uri(), "data:,"}


@pytest.mark.browser
@needs_browser
def test_the_policy_stops_injected_code(page: Path, chromium: Any) -> None:
    chromium.get(page.as_uri())
    chromium.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.broken = 3'; document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<b id=x onclick=\"window.broken = 4\">x</b>');"
    )
    chromium.find_element("id", "x").click()
    assert chromium.execute_script("return window.broken === undefined")


@pytest.mark.browser
@needs_browser
def test_many_records_stand_on_pages(explainer: Explainer, tmp_path: Path, chromium: Any) -> None:
    one, other = explainer.text("The train was late."), explainer.text("A needle in Boston.")
    results = (replace(other if i == 2345 else one, id=f"r{i}") for i in range(3000))
    write_page(tmp_path / "o.html", results, explainer.checkpoint, least=0.32)
    chromium.get((tmp_path / "o.html").as_uri())
    assert shown(chromium, 0) == [f"r{i}" for i in range(50)]
    assert chromium.find_element("id", "place").text == "1 of 60"
    chromium.find_element("id", "next").click()
    assert shown(chromium, 0)[0] == "r50"
    assert searched(chromium, "needle") == ["A needle in Boston."]
    assert shown(chromium, 0) == ["r2345"]
    searched(chromium, "")
    chromium.find_element("css selector", "button[data-key=order]").click()
    assert shown(chromium, 0)[0] == "r2999"


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_colour_schemes(page: Path, chromium: Any, scheme: str) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    chromium.get(page.as_uri())
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= 360
    background = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
