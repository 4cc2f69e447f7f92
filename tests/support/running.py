"""Services running in the test's own process, on a real port; and tokens to call them with."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any

import httpx
import jwt

from services.kernel.runtime import Service
from tests.support.services import until

TOKEN_KEY = "a key for tests only, thirty-two bytes or more"
_START_SECONDS = 60.0


def token(user_id: str, *roles: str, **claims: Any) -> str:
    """Good for a long time; ``claims`` are laid over what is right."""
    standard = {"sub": user_id, "roles": list(roles), "iss": "querycraft", "aud": "querycraft", "exp": 4_102_444_800}
    return jwt.encode({**standard, **claims}, TOKEN_KEY, "HS256")


def bearer(user_id: str, *roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user_id, *roles)}"}


@asynccontextmanager
async def up(service: Service) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Run what a ``bootstrap`` built: its address once it is ready, and the event that begins its drain."""
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    url = f"http://127.0.0.1:{service.settings.http_port}"
    try:
        async with httpx.AsyncClient() as client:

            async def ready() -> bool:
                if task.done():
                    await task
                try:
                    return (await client.get(f"{url}/readyz")).status_code == httpx.codes.OK
                except httpx.TransportError:
                    return False

            await until(ready, _START_SECONDS)
        yield url, stop
    finally:
        stop.set()
        await task


@contextmanager
def on_own_thread(serve: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """What ``serve`` yields, for tests without an event loop or with many: it runs on a loop of its own thread."""
    ready: Future[str] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def stay() -> None:
        async with serve() as url:
            ready.set_result(url)
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(stay())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ready.result(_START_SECONDS)
    finally:
        with suppress(RuntimeError):  # the loop is closed: it never came up, and that is what is being told
            loop.call_soon_threadsafe(stop.set)
        thread.join(_START_SECONDS)
