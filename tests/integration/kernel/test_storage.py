"""Objects in storage: what is written once stays, and every failure says what to do."""

import asyncio
import hashlib
import http.server
import threading
from collections.abc import Iterator

import pytest

from services.kernel import storage as module
from services.kernel.errors import PermanentError, TransientError
from services.kernel.storage import GoogleCloudStorage, ObjectNotFound, split_uri, table_object
from tests.support.services import UNCLOSED, let_go_of_sockets

pytestmark = pytest.mark.filterwarnings(UNCLOSED)


async def test_bytes_come_back_as_they_went(objects: GoogleCloudStorage) -> None:
    data = bytes(range(256)) * 4_000
    uri = await objects.write_once(f"data/{hashlib.sha256(data).hexdigest()}", data, content_type="application/x")
    assert uri.startswith("gs://querycraft-datasets/data/")
    assert await objects.read(uri) == data


async def test_writing_again_is_harmless(objects: GoogleCloudStorage) -> None:
    first = await objects.write_once("data/again", b"same", content_type="text/plain")
    assert await objects.write_once("data/again", b"same", content_type="text/plain") == first
    assert await objects.read(first) == b"same"


async def test_table_names_of_any_script_make_one_object_each(objects: GoogleCloudStorage) -> None:
    uris = [
        await objects.write_once(table_object("data/names", name), name.encode(), content_type="text/plain")
        for name in ("주문", "a/b", "a b", 'say "x"', "a%2Fb")
    ]
    assert len(set(uris)) == 5
    assert [(await objects.read(uri)).decode() for uri in uris] == ["주문", "a/b", "a b", 'say "x"', "a%2Fb"]


async def test_what_is_missing_is_named(objects: GoogleCloudStorage) -> None:
    with pytest.raises(ObjectNotFound, match="gs://querycraft-datasets/nowhere"):
        await objects.read("gs://querycraft-datasets/nowhere")
    elsewhere = GoogleCloudStorage("no-such-bucket", "querycraft-test")
    with pytest.raises(ObjectNotFound, match="no-such-bucket"):
        await elsewhere.write_once("x", b"", content_type="text/plain")
    await elsewhere.close()


@pytest.mark.parametrize("uri", ["", "gs://", "gs://bucket", "gs://bucket/", "https://bucket/x", "bucket/x"])
def test_only_object_uris_are_followed(uri: str) -> None:
    with pytest.raises(PermanentError, match="gs://<bucket>/<name>"):
        split_uri(uri)


class _Refusing(http.server.BaseHTTPRequestHandler):
    status = 503

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Refusing]]:
    class Handler(_Refusing):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.2)
        yield Handler
        server.shutdown()
    let_go_of_sockets()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(503, TransientError), (429, TransientError), (500, TransientError), (403, PermanentError), (400, PermanentError)],
)
async def test_errors_are_typed_by_remedy(refusing: type[_Refusing], status: int, expected: type[Exception]) -> None:
    refusing.status = status
    store = GoogleCloudStorage("bucket", "project")
    with pytest.raises(expected, match="gs://bucket/x"):
        await store.read("gs://bucket/x")
    with pytest.raises(expected, match="gs://bucket/x"):
        await store.write_once("x", b"y", content_type="text/plain")
    await store.close()


async def test_an_object_that_was_there_first_wins(refusing: type[_Refusing]) -> None:
    refusing.status = 412
    store = GoogleCloudStorage("bucket", "project")
    assert await store.write_once("x", b"y", content_type="text/plain") == "gs://bucket/x"
    await store.close()


async def test_a_slow_storage_does_not_hold_the_event_loop(refusing: type[_Refusing]) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def wait(handler: _Refusing) -> None:
        arrived.set()
        go_on.wait(10)
        handler.send_response(404)
        handler.end_headers()

    refusing.do_GET = wait  # type: ignore[method-assign]
    store = GoogleCloudStorage("bucket", "project")
    reading = asyncio.create_task(store.read("gs://bucket/x"))
    assert await asyncio.to_thread(arrived.wait, 10)  # the loop turns while the request waits for its answer
    assert not reading.done()
    go_on.set()
    with pytest.raises(ObjectNotFound):
        await reading
    await store.close()
