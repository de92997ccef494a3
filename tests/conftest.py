"""Shared fixtures: the real encoder, the quickstart corpus, a small trained run, and the command line in process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from flip.cli.app import main
from flip.encoders import Encoder, load_encoder

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples" / "quickstart"
WORKER = os.environ.get("PYTEST_XDIST_WORKER")  # of `pytest -n`

# No test needs the network: a library that asks for it must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"
if WORKER:
    os.environ["OMP_NUM_THREADS"] = "1"  # workers have a core each, and threads that wait for each other take it twice


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--benchmark", action="store_true", help="run the benchmarks too; they print, and never fail on a time"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--benchmark"):
        skip = pytest.mark.skip(reason="a measurement, not a test: pytest --benchmark -s tests/benchmarks")
        for item in items:
            if "benchmark" in item.keywords:
                item.add_marker(skip)


@dataclass(frozen=True)
class Result:
    """What a command printed and returned."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout."""
        return [orjson.loads(line) for line in self.out.splitlines()]


Flip = Callable[..., Result]


@pytest.fixture
def flip(capfd: pytest.CaptureFixture[str]) -> Flip:
    """Runs `flip ARGS...` in this process."""

    def run(*args: object) -> Result:
        capfd.readouterr()
        code = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def fails(flip: Flip) -> Callable[..., str]:
    """Runs a command that must fail with `code`, an `error:` line and no traceback; returns stderr."""

    def run(code: int, *args: object) -> str:
        result = flip(*args)
        assert result.code == code, result.err
        assert any(line.startswith("error:") for line in result.err.splitlines())
        assert "Traceback" not in result.err
        return result.err

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no FLIP_* variables."""
    for name in [name for name in os.environ if name.startswith("FLIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def _weights_are_read_once() -> Iterator[None]:
    """A command of its own takes a tenth of a second for MiniLM's; a session of onnxruntime holds nothing else."""
    opened, sessions = onnxruntime.InferenceSession, {}

    def once(path: str, *args: Any, **kwargs: Any) -> onnxruntime.InferenceSession:
        key = (path, Path(path).stat().st_mtime_ns)
        if key not in sessions:
            sessions[key] = opened(path, *args, **kwargs)
        return sessions[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onnxruntime, "InferenceSession", once)
        yield


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    """The real default encoder."""
    return load_encoder("minilm", offline=True)


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """2,015 short English sentences."""
    return (QUICKSTART / "train.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart folder after its four bare commands, with the model in `run`."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if WORKER else base) / "quickstart"  # one for all workers
    with FileLock(folder.with_name("quickstart.lock")):
        if not (folder / "run" / "model.safetensors").exists():
            _make_quickstart(folder)
    return folder


def _make_quickstart(folder: Path) -> None:
    folder.mkdir()
    for name in ("train.txt", "dev.txt", "test.txt", "flip.toml", "datasets.yaml"):
        shutil.copy(QUICKSTART / name, folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for command in (["vocab", "-q"], ["embed", "-q"], ["train", "-q"]):
            assert main(command) == 0, command
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def run_folder(quickstart: Path) -> Path:
    """A checkpoint folder, trained on the quickstart corpus."""
    return quickstart / "run"


@pytest.fixture(scope="session")
def vectors(quickstart: Path) -> NDArray[np.float32]:
    """The embeddings of `sentences`: (2015, 384)."""
    return np.load(quickstart / "train.npy")


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-sync"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()
