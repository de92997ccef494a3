"""`flip pull` with the real client against a hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from flip.cli.app import main
from flip.errors import InputError, UsageError
from flip.hub import pull as flip_hub
from flip.hub.client import Source
from hub_server import COMMIT, Hub, hub_server, point_client_to

SUB = "mcv15/rank-512"
CHECKPOINT = {
    f"{SUB}/model.safetensors": bytes(range(256)) * 1000,
    f"{SUB}/vocab.json": b'{"a": 0}',
    f"{SUB}/config.json": b"{}",
}
OTHERS = {
    "README.md": b"# card",
    f"{SUB}/optimizer.pkl": b"evil",
    f"{SUB}/model.py": b"evil",
    "mcv15/rank-1024/model.safetensors": b"m",
}
DATA = {
    "datasets.yaml": b"mcv_15_en_test: {}",
    "cv_15/en/train_text_embs.npy": b"1" * 1000,
    "cv_15/en/test_text_embs.npy": b"2" * 500,
    "cv_15/en/test_transcript.txt": b"a\nb\n",
    "cv_15/en/convert.py": b"evil",
}
SAFETENSORS = f"{SUB}/model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Start a hub with one checkpoint and one dataset."""
    monkeypatch.chdir(tmp_path)
    with hub_server() as server:
        point_client_to(server.url, tmp_path / "home", monkeypatch)
        server.add("BUT-FIT/FLiP-en-sonar", CHECKPOINT | OTHERS)
        server.add("BUT-FIT/FLiP-data", DATA, kind="datasets")
        yield server


NAME = f"BUT-FIT/FLiP-en-sonar/{SUB}"


def pulled(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return dict(json.loads(capsys.readouterr().out))


def files_below(folder: Path) -> set[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {path for path in found if not path.startswith(".cache/")}


def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the client's waits between attempts, which are not the point here."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_a_checkpoint_is_its_three_files_and_nothing_else(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", NAME]) == 0
    result = pulled(capsys)
    folder = Path(str(result["folder"]))
    assert files_below(folder) == {"model.safetensors", "vocab.json", "config.json"}
    assert (folder / "model.safetensors").read_bytes() == CHECKPOINT[SAFETENSORS]
    assert result["commit"] == COMMIT
    assert not [path for path in hub.fetched() if path.endswith((".pkl", ".py", ".md"))]


def test_files_in_the_cache_are_not_fetched_again(hub: Hub) -> None:
    assert main(["pull", NAME]) == 0
    hub.requests.clear()
    assert main(["pull", NAME]) == 0
    assert hub.fetched() == []


def test_a_checkpoint_into_a_folder(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", NAME, "-o", "here"]) == 0
    assert Path(str(pulled(capsys)["folder"])) == Path("here") / SUB
    assert files_below(tmp_path / "here") == set(CHECKPOINT)


def test_offline_takes_the_cache_and_asks_nobody(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", NAME]) == 0
    online = pulled(capsys)
    hub.requests.clear()
    assert main(["pull", NAME, "--offline"]) == 0
    offline = pulled(capsys)
    assert offline["folder"] == online["folder"]
    assert hub.requests == []
    assert main(["pull", "BUT-FIT/FLiP-en-sonar/mcv15/rank-1024", "--offline"]) == 4
    assert "rank-1024 is not in the cache" in capsys.readouterr().err


def test_the_clients_own_offline_switch_is_respected(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["pull", NAME]) == 4
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err
    assert hub.requests == []


def test_a_dataset_with_patterns(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "BUT-FIT/FLiP-data", "--dataset", "-o", "all"]) == 0
    assert files_below(tmp_path / "all") == {path for path in DATA if not path.endswith(".py")}
    assert (
        main(
            [
                "pull",
                "BUT-FIT/FLiP-data",
                "--dataset",
                "-o",
                "some",
                "--include",
                "test_*",
                "--include",
                "*.yaml",
            ]
        )
        == 0
    )
    assert files_below(tmp_path / "some") == {
        "cv_15/en/test_text_embs.npy", "cv_15/en/test_transcript.txt", "datasets.yaml",
    }  # fmt: skip
    assert main(["pull", "BUT-FIT/FLiP-data/cv_15", "--dataset", "-o", "sub", "--include", "en/train_*"]) == 0
    assert files_below(tmp_path / "sub") == {"cv_15/en/train_text_embs.npy"}
    capsys.readouterr()
    assert main(["pull", "BUT-FIT/FLiP-data", "--dataset", "--include", "dev_*"]) == 3
    assert "matches dev_*" in capsys.readouterr().err


def test_a_dry_run_lists_sizes_and_downloads_nothing(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", NAME, "--dry-run"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert {file["path"]: file["size"] for file in result["files"]} == {k: len(v) for k, v in CHECKPOINT.items()}
    assert result["size"] == sum(map(len, CHECKPOINT.values()))
    assert "2 other files" in captured.err
    assert hub.fetched() == []
    assert not (tmp_path / "home").exists()
    assert main(["pull", NAME, "--dry-run", "--offline"]) == 2


def test_a_revision(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", NAME, "--revision", "v1"]) == 0
    assert any("/resolve/v1/" in path for path in hub.fetched())
    assert main(["pull", NAME, "--revision", COMMIT]) == 0
    capsys.readouterr()
    assert main(["pull", NAME, "--revision", "v9"]) == 4
    assert "error: BUT-FIT/FLiP-en-sonar has no revision 'v9'" in capsys.readouterr().err


def test_a_wrong_folder_names_the_right_ones(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "BUT-FIT/FLiP-en-sonar"]) == 3
    err = capsys.readouterr().err
    assert "BUT-FIT/FLiP-en-sonar/mcv15/rank-1024, BUT-FIT/FLiP-en-sonar/mcv15/rank-512" in err


@pytest.mark.parametrize("name", ["one", "a//b", "../a/b", "a/b/../c", "/a/b", "a/b\\c", "a b/c"])
def test_a_name_that_is_not_a_repository_is_a_usage_error(
    hub: Hub, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", name]) == 2
    assert "is not a repository" in capsys.readouterr().err


def test_an_unknown_repository(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "BUT-FIT/none"]) == 4
    assert "error: no model 'BUT-FIT/none' on the hub" in capsys.readouterr().err
    assert main(["pull", "BUT-FIT/FLiP-data"]) == 4  # a dataset, asked for as a model
    assert "--dataset" in capsys.readouterr().err


def test_a_private_repository_needs_the_right_token(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add("me/private", CHECKPOINT, token="hf_right")
    assert main(["pull", f"me/private/{SUB}"]) == 4
    assert "HF_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert main(["pull", f"me/private/{SUB}"]) == 4
    assert "refused the token" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert main(["pull", f"me/private/{SUB}"]) == 0


@pytest.mark.parametrize("token", [None, "hf_token"])
def test_a_gated_repository_gives_a_hint(
    hub: Hub, token: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.add("me/gated", CHECKPOINT, gated=True)
    assert main(["pull", f"me/gated/{SUB}"]) == 4
    assert capsys.readouterr().err == "error: me/gated is gated\nhint:  accept its terms on the hub, and set HF_TOKEN\n"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "access denied"),
        (404, "not found"),
        (429, "limits the rate"),
        (500, "answered 500"),
        (503, "answered 503"),
    ],
)
@pytest.mark.parametrize("where", ["", SAFETENSORS])
def test_refusals_are_clear_errors(
    hub: Hub,
    status: int,
    message: str,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quick_retries(monkeypatch)
    hub.add("me/broken", CHECKPOINT, status={where: [status] * 100})
    assert main(["pull", f"me/broken/{SUB}"]) == 4
    err = capsys.readouterr().err
    assert err.startswith("error: me/broken") and message in err, err
    if status == 429:
        assert "try again in 1 s" in err


def test_a_rate_limit_that_passes_is_waited_out(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    if huggingface_hub.__version__.startswith("0."):
        pytest.skip("huggingface_hub 0.x reports it without waiting: see test_refusals_are_clear_errors")
    quick_retries(monkeypatch)
    hub.add("me/busy", CHECKPOINT, status={SAFETENSORS: [429]})
    assert main(["pull", f"me/busy/{SUB}"]) == 0


def test_a_dropped_connection_is_resumed(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quick_retries(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.add("me/flaky", CHECKPOINT, drops={SAFETENSORS: [100_000, 50_500]})
    assert main(["pull", f"me/flaky/{SUB}", "-o", "here"]) == 0
    assert (tmp_path / "here" / SAFETENSORS).read_bytes() == CHECKPOINT[SAFETENSORS]
    starts = [
        int(r.split("=")[1].rstrip("-")) for method, path, r in hub.requests if r and path.endswith("model.safetensors")
    ]
    assert len(starts) == 2
    assert 0 < starts[0] <= 100_000 < starts[1] <= 150_500


def test_a_failed_pull_is_resumed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick_retries(monkeypatch)
    repository = hub.add("me/down", CHECKPOINT, status={f"{SUB}/vocab.json": [500] * 100})
    assert main(["pull", f"me/down/{SUB}"]) == 4
    repository.status.clear()
    hub.requests.clear()
    assert main(["pull", f"me/down/{SUB}"]) == 0
    assert not [path for path in hub.fetched() if path.endswith("model.safetensors")]


def test_no_hub_at_all(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick_retries(monkeypatch)
    point_client_to("http://127.0.0.1:9", tmp_path / "home", monkeypatch)
    assert main(["pull", NAME]) == 4
    err = capsys.readouterr().err
    assert "out of reach" in err and "HF_ENDPOINT" in err


@pytest.mark.parametrize("output", [[], ["-o", "here"]])
@pytest.mark.parametrize("path", [SAFETENSORS, f"{SUB}/vocab.json"])
def test_content_that_differs_from_the_listing_is_removed(
    hub: Hub, path: str, output: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = bytes(len(CHECKPOINT[path]))
    repository = hub.add("me/wrong", CHECKPOINT, served={path: wrong})
    assert main(["pull", f"me/wrong/{SUB}", *output]) == 3
    err = capsys.readouterr().err
    assert f"error: me/wrong/{path}: its {'sha256' if path == SAFETENSORS else 'git hash'} differs from" in err
    assert wrong not in [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    repository.served.clear()
    assert main(["pull", f"me/wrong/{SUB}", *output]) == 0
    folder = Path(str(pulled(capsys)["folder"]))
    assert (folder / Path(path).name).read_bytes() == CHECKPOINT[path]


def test_a_size_that_the_hub_does_not_list(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add("me/short", CHECKPOINT, served={SAFETENSORS: b"short"})
    assert main(["pull", f"me/short/{SUB}"]) == 3
    assert "5 bytes, the hub lists 256000" in capsys.readouterr().err


@pytest.mark.parametrize(
    "evil", ["../evil.json", "a/../../evil.json", "/tmp/evil.json", "C:\\evil.json", "..\\evil.json",
             "a\\..\\..\\evil.json", "\\\\host\\share\\evil.json", "a//evil.json", "a/\n.json"],
)  # fmt: skip
@pytest.mark.parametrize("output", [[], ["-o", "in/here"]])
def test_names_that_lead_outside_are_refused(
    hub: Hub, evil: str, output: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add("me/evil", {"model.safetensors": b"m", evil: b"evil"})
    assert main(["pull", "me/evil", "--include", "*", *output]) == 3
    assert "leads out of its folder" in capsys.readouterr().err
    assert hub.fetched() == []
    assert files_below(tmp_path) == set()
    hub.add("me/evil", {"model.safetensors": b"m", evil: b"evil"}, kind="datasets")
    assert main(["pull", "me/evil", "--dataset", *output]) == 3


def test_a_symbolic_link_arrives_as_the_small_file_that_it_is(hub: Hub, tmp_path: Path) -> None:
    # The hub serves a link in git as a file that holds the link's target.
    hub.add("me/link", {"model.safetensors": b"m", "vocab.json": b"../../../../etc/passwd"})
    assert main(["pull", "me/link", "-o", "here"]) == 0
    assert not (tmp_path / "here" / "vocab.json").is_symlink()
    assert (tmp_path / "here" / "vocab.json").read_bytes() == b"../../../../etc/passwd"
    assert main(["pull", "me/link"]) == 0
    cache = tmp_path / "home" / "hub"
    assert all(path.resolve().is_relative_to(cache.resolve()) for path in cache.rglob("*"))


def test_pickles_and_code_cannot_even_be_asked_for(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", NAME, "--include", "*.pkl", "--include", "*.py"]) == 3
    assert hub.fetched() == []


def test_endpoint_home_and_token_come_from_the_environment(hub: Hub, tmp_path: Path) -> None:
    hub.add("me/private", CHECKPOINT, token="hf_right")
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "other"),
        "HF_TOKEN": "hf_right",
    }
    command = [sys.executable, "-m", "flip", "pull", f"me/private/{SUB}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert Path(json.loads(done.stdout)["folder"]).is_relative_to(tmp_path / "other")


@pytest.mark.slow
def test_progress_is_drawn_on_a_terminal_only(hub: Hub, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    termios = pytest.importorskip("termios", reason="needs a pseudo-terminal")
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "other")}
    command = [sys.executable, "-m", "flip", "pull", NAME]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == f"use it with: flip explain --model {NAME}\n"
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    environment["HF_HOME"] = str(tmp_path / "empty")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        drawn = b""
        try:
            while chunk := os.read(master, 65536):
                drawn += chunk
        except OSError:  # the end, on Linux
            pass
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["commit"] == COMMIT
    os.close(master)
    assert b"model.safetensors" in drawn and b"100%" in drawn


def test_the_library_and_the_command_agree(hub: Hub) -> None:
    found = flip_hub.pull(Source.parse(NAME))
    assert found.files == ("model.safetensors", "vocab.json", "config.json")
    assert Source.parse(NAME).cached() == found.folder
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        flip_hub.pull(Source.parse("BUT-FIT/FLiP-en-sonar"))
    with pytest.raises(UsageError):
        Source.parse("no-slash")


@pytest.fixture
def served(hub: Hub, run_folder: Path) -> str:
    """Put a trained checkpoint on the hub."""
    files = {
        f"en/{name}": (run_folder / name).read_bytes() for name in ("model.safetensors", "vocab.json", "config.json")
    }
    hub.add("me/words", files)
    return "me/words/en"


def test_explain_pulls_a_model_once_and_then_takes_the_cache(hub: Hub, served: str, run_folder: Path, flip) -> None:
    sentence = "The train to Boston was late."
    expected = flip("explain", sentence, "--model", run_folder).records
    first = flip("explain", sentence, "--model", served)
    assert first.records == expected
    assert "pulling me/words/en from the hub" in first.err
    hub.requests.clear()
    for offline in ([], ["--offline"]):
        again = flip("explain", sentence, "--model", served, *offline)
        assert again.records == expected
        assert again.err == ""
    assert hub.requests == []


def test_explain_offline_does_not_pull(hub: Hub, served: str, fails) -> None:
    assert "me/words/en is not in the cache" in fails(4, "explain", "x", "--model", served, "--offline")
    assert hub.requests == []


def test_an_unfinished_pull_is_finished_by_explain(
    hub: Hub, served: str, flip, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_retries(monkeypatch)
    hub.repositories["models", "me/words"].status = {"en/vocab.json": [500] * 100}
    assert flip("pull", served).code == 4
    hub.repositories["models", "me/words"].status.clear()
    assert flip("explain", "x", "--model", served).code == 0


def test_eval_of_a_model_on_the_hub(hub: Hub, served: str, quickstart: Path, flip) -> None:
    result = flip("eval", "--model", served, "--data", quickstart / "datasets.yaml", "--dataset", "test")
    assert result.code == 0, result.err
    assert result.records[0]["model"] == served
