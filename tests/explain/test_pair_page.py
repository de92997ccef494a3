"""The page of pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.browser import needs_browser
from tests.conftest import Flip

QUERY = "What are the symptoms of high blood pressure?"
HITS = """\
{"id": "pier", "text": "The ferry left at noon. <b>A</b> guitar on the pier. <script>window.broken = 1</script>"}
{"id": "cuff", "text": "High blood pressure usually has no symptoms. It is measured with a cuff."}
"""


@pytest.fixture
def page(flip: Flip, here: Path) -> str:
    Path("hits.jsonl").write_text(HITS)
    done = flip("explain", QUERY, "--against", "hits.jsonl", "--html", "o.html", "--by-sentence")
    assert done.code == 0, done.err
    assert done.records == [{"html": "o.html", "records": 2, "failed": 0}]
    assert "10 texts embedded to compare sentences" in done.err
    return Path("o.html").read_text(encoding="utf-8")


def bare(html: str) -> str:
    return unescape(re.sub("<.*?>", "", html))


def test_the_query_stands_above_its_hits_the_nearest_first(page: str) -> None:
    head, *sections = page.split("<section>")
    assert bare(head.split("<header>")[1]).strip() == QUERY
    assert [bare(re.findall("<h2>(.*?)<", one)[0]).strip() for one in sections] == ["cuff", "pier"]
    assert page.count("symptoms of high blood") == 1
    near, far = sections
    assert '<span class="both">pressure</span>' in near
    assert '<span class="own">cuff</span>' in near and '<span class="own">' in far
    assert "“High blood pressure usually has no symptoms.”: cosine 0." in near
    assert "only the query" in near and "only the hit" in near and "of the cosine" in near


def test_texts_are_data_and_the_page_runs_nothing(page: str) -> None:
    assert "<script" not in page
    assert "<b>" not in page and "&lt;b&gt;" in page
    assert "default-src 'none'" in page and "unsafe" not in page
    for external in ("http:", "https:", "url(", "@import", " src="):
        assert external not in page


def test_a_page_of_lines_and_of_failures(flip: Flip, fails: Callable[..., str], here: Path) -> None:
    Path("a.txt").write_text("The train was late.\nA cat.\n")
    Path("b.txt").write_text("The flight was late.\n" + "A dog. " * 300 + "Behind.\n")
    assert flip("explain", "a.txt", "--against", "b.txt", "--html", "o.html").code == 0
    page = Path("o.html").read_text(encoding="utf-8")
    assert "<header>" not in page and page.count("<section>") == 2
    assert "only the first" in page and "only the second" in page
    assert re.search(r'<span class="unread">[^<]*Behind\.</span>', page)
    Path("bad.jsonl").write_text('{"text": "A cat."}\n{"text": 3}\n')
    assert "1 of 2 records" in fails(3, "explain", "bad.jsonl", "--against", "A dog.", "--html", "p.html")
    assert '<p class="error">' in Path("p.html").read_text(encoding="utf-8")
    assert "--by-sentence is for pairs" in fails(2, "explain", "A cat.", "--by-sentence")
    assert "would overwrite it" in fails(2, "explain", "a.txt", "--against", "b.txt", "--html", "b.txt")


def test_a_pair_alone_has_no_query(flip: Flip, here: Path) -> None:
    assert flip("explain", "A cat.", "--against", "A dog.", "--html", "o.html").code == 0
    page = Path("o.html").read_text(encoding="utf-8")
    assert "<header>" not in page and "only the first" in page


@needs_browser
@pytest.mark.browser
def test_nothing_is_wider_than_a_phone(page: str, here: Path, chromium: Any) -> None:
    chromium.set_window_size(390, 844)
    chromium.get((here / "o.html").as_uri())
    assert chromium.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert chromium.execute_script("return window.broken") is None


def test_a_word_of_the_query_that_a_hit_lost_is_marked_in_its_text(flip: Flip, here: Path) -> None:
    text = "The council met to discuss the budget, the roads, the schools and taxes. " * 4 + "A violin was played."
    Path("hits.jsonl").write_text(json.dumps({"id": "h", "text": text}) + "\n" + json.dumps({"id": "i", "text": "A."}))
    assert flip("explain", "a violin", "--against", "hits.jsonl", "--html", "o.html").code == 0
    page = Path("o.html").read_text(encoding="utf-8")
    assert 'A <span class="lost">violin</span> was played.' in page
    assert '<td><span class="lost">lost</span></td>' in page
