"""A real HTTP server on loopback that speaks OpenAI's and Gemini's embedding APIs, and fails on demand."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-secret-0123456789"


def vector(text: str, dimension: int) -> list[float]:
    """Return a vector that is the same for the same text, and different for any other."""
    digest = hashlib.shake_256(text.encode()).digest(dimension)
    return [byte / 128 - 1 for byte in digest]


class Server:
    """Counts its requests, and takes the next of `faults` for each until none is left.

    A fault is a status code, (429, seconds) with Retry-After, ("body", status, text), "truncated", "slow", "count",
    "garbage", or None for a good answer. More texts than `most_texts`, or one longer than `longest`, is refused.
    `reply` gives the status and the answer for some texts instead.
    """

    def __init__(self, dimension: int = 8) -> None:
        self.dimension = dimension
        self.faults: list[Any] = []
        self.reply: Callable[[list[str]], tuple[int, Any]] | None = None
        self.embedded: list[str] = []  # texts answered, in order
        self.requests = self.together = self.most_together = 0
        self.keys: set[str] = set()
        self.bodies: list[dict[str, Any]] = []
        self.delay = 0.0
        self.most_texts, self.longest = 10**9, 10**9
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # the end of an answer would wait 40 ms

            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.requests += 1
            self.together += 1
            self.most_together = max(self.most_together, self.together)
            fault = self.faults.pop(0) if self.faults else None
            self.bodies.append(body)
            auth = handler.headers.get("Authorization", "").removeprefix("Bearer ")
            self.keys.add(auth or handler.headers.get("x-goog-api-key", ""))
        time.sleep(self.delay)
        try:
            self._respond(handler, body, fault)
        except OSError:
            pass  # the client has gone
        finally:
            with self.lock:
                self.together -= 1

    def _respond(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], fault: Any) -> None:
        gemini = handler.path.endswith(":batchEmbedContents")
        if gemini:
            texts = [item["content"]["parts"][0]["text"] for item in body["requests"]]
            dimension = body["requests"][0].get("outputDimensionality", self.dimension)
        else:
            texts, dimension = body["input"], body.get("dimensions", self.dimension)
        if self.reply:
            status, answer = self.reply(texts)
            self._send(handler, status, json.dumps(answer).encode(), [])
            return
        if fault == "slow":
            time.sleep(2)
        if len(texts) > self.most_texts or max(map(len, texts)) > self.longest:
            many = len(texts) > self.most_texts
            fault = ("body", 413 if many else 400, '{"error": {"code": 400, "message": "too large", "status": "X"}}')
        if isinstance(fault, tuple) and fault[0] == "body":
            self._send(handler, fault[1], fault[2].encode(), [])
            return
        if isinstance(fault, int | tuple):
            status, *after = fault if isinstance(fault, tuple) else (fault,)
            error = {"error": {"code": status, "message": f"no, not with {KEY}", "status": "X"}}
            self._send(handler, status, json.dumps(error).encode(), after)
            return
        rows = [vector(text, dimension) for text in texts]
        if fault == "count":
            rows = rows[:-1]
        if gemini:
            answer: Any = {"embeddings": [{"values": row} for row in rows]}
        else:
            data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
            # In any order: the index counts.
            answer = {"object": "list", "data": data[::-1], "model": body["model"], "usage": {}}
        content = json.dumps(answer).encode() if fault != "garbage" else b"<html>gateway</html>"
        if fault == "truncated":
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[: len(content) // 2])
            handler.close_connection = True
            return
        if fault is None:
            with self.lock:
                self.embedded += texts
        self._send(handler, 200, content, [])

    def _send(self, handler: BaseHTTPRequestHandler, status: int, content: bytes, after: list[float]) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        if after:
            handler.send_header("Retry-After", str(after[0]))
        handler.end_headers()
        handler.wfile.write(content)
