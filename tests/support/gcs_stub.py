"""An HTTP server that answers as Cloud Storage's JSON API does, with generation preconditions and scripted failures.

The embedded emulator ignores preconditions, so what depends on them is tested here, through the real client.
Source: https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Object:
    data: bytes
    generation: int
    metadata: dict[str, str]


@dataclass
class GcsStub:
    """``failures``: statuses to answer before anything else is done; ``always``: one to answer for ever."""

    objects: dict[str, Object] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    always: int = 0
    requests: list[str] = field(default_factory=list)
    url: str = ""
    _generation: int = 1_700_000_000_000_000
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, data: bytes, metadata: dict[str, str] | None = None) -> int:
        with self._lock:
            self._generation += 1
            self.objects[name] = Object(data, self._generation, metadata or {})
            return self._generation

    def answer(self, method: str, target: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if "/o" in parts.path:  # the client looks at the bucket on its own account, once
            self.requests.append(f"{method} {unquote(parts.path)}")
        if self.always or self.failures:
            return self.always or self.failures.pop(0), b'{"error": {"message": "scripted"}}'
        if method == "POST":
            return self._upload(query, body, content_type)
        name = unquote(parts.path.rpartition("/o/")[2])
        found = self.objects.get(name)
        if found is None:
            return 404, b'{"error": {"message": "No such object"}}'
        if query.get("ifGenerationNotMatch") == str(found.generation):
            return 304, b""
        if query.get("ifGenerationMatch", str(found.generation)) != str(found.generation):
            return 412, b'{"error": {"message": "conditionNotMet"}}'
        if method == "DELETE":
            del self.objects[name]
            return 204, b""
        return (200, found.data) if query.get("alt") == "media" else (200, self._resource(name, found))

    def _upload(self, query: dict[str, str], body: bytes, content_type: str) -> tuple[int, bytes]:
        boundary = re.search(r'boundary="?([^";]+)', content_type)
        assert boundary is not None, content_type
        _, head, content, _ = body.split(b"--" + boundary[1].encode())[0:4]
        resource: dict[str, Any] = json.loads(head.split(b"\r\n\r\n", 1)[1])
        data = content.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
        name = resource["name"]
        found = self.objects.get(name)
        expected = query.get("ifGenerationMatch")
        if expected is not None and expected != str(found.generation if found else 0):
            return 412, b'{"error": {"message": "conditionNotMet"}}'
        self.put(name, data, resource.get("metadata"))
        return 200, self._resource(name, self.objects[name])

    def _resource(self, name: str, found: Object) -> bytes:
        resource = {"name": name, "generation": str(found.generation), "metadata": found.metadata}
        return json.dumps({**resource, "bucket": "cache", "size": len(found.data)}).encode()


@contextmanager
def gcs_stub() -> Iterator[GcsStub]:
    """Serve until the body ends; ``url`` is what STORAGE_EMULATOR_HOST wants."""
    stub = GcsStub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content = stub.answer(self.command, self.path, body, self.headers.get("content-type", ""))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - the base class names them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
