"""A Hugging Face hub on loopback: the endpoints that huggingface_hub asks for, with faults that can be switched on."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_FILES = (".safetensors", ".npy", ".pkl")


@dataclass
class Repository:
    """files: path -> content.  Everything else is a fault, or a guard, that a test switches on."""

    files: dict[str, bytes]
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main", "v1")
    token: str | None = None  # a private repository: needs this token
    gated: bool = False  # listed for all, files for nobody
    listed_size: dict[str, int] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)  # other content than the listed one
    drops: dict[str, list[int]] = field(default_factory=dict)  # after how many bytes the next answers break off
    status: dict[str, list[int]] = field(default_factory=dict)  # the next answers, "" is the listing
    card: dict[str, object] = field(default_factory=dict)  # what README.md says on top

    def etag(self, path: str) -> str:
        return sha256(self.files[path]) if path.endswith(LARGE_FILES) else git_hash(self.files[path])

    def listing(self) -> list[dict[str, object]]:
        entries = []
        for path, content in self.files.items():
            size = self.listed_size.get(path, len(content))
            entry: dict[str, object] = {"rfilename": path, "size": size, "blobId": git_hash(content)}
            if path.endswith(LARGE_FILES):
                entry["lfs"] = {"sha256": sha256(content), "size": size, "pointerSize": 134}
            entries.append(entry)
        return entries


@dataclass
class Hub:
    """A running server. requests: (method, path, Range header) of all that were asked."""

    url: str
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)  # (models or datasets, name)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def add(self, name: str, files: dict[str, bytes], kind: str = "models", **options: object) -> Repository:
        repository = Repository(files, **options)  # type: ignore[arg-type]
        self.repositories[kind, name] = repository
        return repository

    def fetched(self) -> list[str]:
        """Paths of the files whose content was asked for."""
        return [
            path for method, path, _ in self.requests if method == "GET" and "/cdn/" not in path and "/api/" not in path
        ]


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Serves until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_client_to(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's settings, which it reads once: this hub, and an empty cache in `home`."""
    monkeypatch.setenv("HF_HOME", str(home))
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the end of an answer would wait 40 ms

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if api := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            kind, name, revision = api.groups()
            self._list(self._repository(kind, name), revision or "main", name)
        elif file := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind = "datasets" if file[1] else "models"
            self._resolve(self._repository(kind, file[2]), f"/cdn/{kind}/{file[2]}", file[3], file[4])
        elif cdn := re.fullmatch(r"/cdn/(models|datasets)/([^/]+/[^/]+)/(.+)", path):
            repository = self._repository(cdn[1], cdn[2])
            if repository:
                self._content(repository, cdn[3])
        else:
            self._refuse(404)

    def _repository(self, kind: str, name: str) -> Repository | None:
        """The repository, or None after an answer that refuses it, as the hub words it."""
        found = self.hub.repositories.get((kind, name))
        authorization = self.headers.get("Authorization")
        if found is None or (found.token and authorization is None):
            # The hub does not tell a stranger whether a private repository exists.
            self._refuse(404 if authorization else 401, "RepoNotFound")
            return None
        if found.token and authorization != f"Bearer {found.token}":
            self._refuse(401, message="Invalid credentials in Authorization header")
            return None
        return found

    def _list(self, repository: Repository | None, revision: str, name: str) -> None:
        if repository is None:
            return
        if statuses := repository.status.get(""):
            self._refuse(statuses.pop(0))
        elif revision not in (*repository.revisions, repository.commit):
            self._refuse(404, "RevisionNotFound")
        else:
            body = {
                "id": name,
                "sha": repository.commit,
                "private": False,
                "tags": [],
                "siblings": repository.listing(),
                "cardData": repository.card,
            }
            self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: Repository | None, cdn: str, revision: str, path: str) -> None:
        if repository is None:
            return
        if statuses := repository.status.get(path):
            self._refuse(statuses.pop(0))
        elif repository.gated:
            self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        elif revision not in (*repository.revisions, repository.commit):
            self._refuse(404, "RevisionNotFound")
        elif path not in repository.files:
            self._refuse(404, "EntryNotFound")
        elif path.endswith(LARGE_FILES):
            headers = {
                "Location": f"{self.hub.url}{cdn}/{path}",
                "X-Repo-Commit": repository.commit,
                "X-Linked-Size": str(len(repository.served.get(path, repository.files[path]))),
                "X-Linked-Etag": f'"{repository.etag(path)}"',
            }
            self._send(302, b"", headers)
        else:
            self._content(repository, path)

    def _content(self, repository: Repository, path: str) -> None:
        content = repository.served.get(path, repository.files[path])
        headers = {
            "ETag": f'"{repository.etag(path)}"',
            "X-Repo-Commit": repository.commit,
            "Accept-Ranges": "bytes",
        }
        status, start = 200, 0
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(wanted[1])
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        drops = repository.drops.get(path)
        self._send(status, content[start:], headers, drops.pop(0) if drops and self.command == "GET" else None)

    def _refuse(self, status: int, code: str | None = None, message: str = "") -> None:
        headers = {"X-Error-Message": message} if message else {}
        if code:
            headers |= {"X-Error-Code": code}
        if status == 429:
            headers["Retry-After"] = "1"
        self._send(status, b"{}", headers | {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
