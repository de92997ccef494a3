"""A real browser: `apt-get install chromium chromium-driver`, then `pytest -m browser`."""

from __future__ import annotations

import shutil

import pytest

browser_missing = not (shutil.which("chromium") and shutil.which("chromedriver"))
needs_browser = pytest.mark.skipif(browser_missing, reason="needs Debian's chromium and chromium-driver")
