"""An S3 server on loopback: that of moto."""

from __future__ import annotations

import logging
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "vectors"


@contextmanager
def serving() -> Iterator[dict[str, str]]:
    """The environment that leads to a server with one bucket, which is empty."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer
    from pyarrow.fs import S3FileSystem

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{port}"
    try:
        # All servers of a process share what is stored.
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()
        S3FileSystem(
            access_key="key", secret_key="secret", endpoint_override=url, region="us-east-1", allow_bucket_creation=True
        ).create_dir(BUCKET)
        yield {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()
