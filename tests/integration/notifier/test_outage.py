"""The database goes away and comes back: streams live on, nothing is lost, and clients are told the truth."""

import asyncio

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from scripts.embedded.postgres import PostgresServer
from services.kernel.errors import TransientError
from tests.integration.notifier.conftest import Running, running, settings_with, told
from tests.support.notifier_events import failed
from tests.support.running import bearer
from tests.support.services import fill, until
from tests.support.webhook_receiver import receiving


async def publish_when_possible(notifier: Running, user_id: str) -> None:
    event = failed(user_id=user_id)

    async def published() -> bool:
        try:
            await notifier.publish(event)
        except (AssertionError, TransientError, OSError):
            return False
        return True

    await until(published, 40)


async def test_a_restarted_database_costs_no_notification_and_no_stream(own_postgres: PostgresServer) -> None:
    await asyncio.to_thread(fill, own_postgres.url(), "notifier")
    settings = settings_with(own_postgres.url(user="notifier"), webhook_allow_loopback=True)
    async with running(settings) as notifier, receiving() as receiver:
        async with httpx.AsyncClient(base_url=notifier.url, headers=bearer("mina")) as http:
            assert (await http.post("/webhooks", json={"url": receiver.url()})).status_code == 201
            async with connect(f"{notifier.sockets}/notifications/ws", additional_headers=bearer("mina")) as stream:
                await stream.recv()
                await asyncio.to_thread(own_postgres.stop, "immediate")
                for path in ("/notifications", "/readyz", "/webhooks", "/notifications/stream?after=0"):
                    async with http.stream("GET", path, timeout=30) as answer:
                        if path.endswith("after=0"):  # the hub may still know where it stands: then the stream says it
                            assert answer.status_code == 503 or b"unavailable" in await answer.aread()
                        else:
                            assert answer.status_code == 503, path
                await asyncio.to_thread(own_postgres.start)
                await publish_when_possible(notifier, "mina")
                async with asyncio.timeout(40):
                    message = await stream.recv()
        assert '"event":"notification"' in str(message)
        await told(notifier, 1)

        async def posted() -> bool:
            return len(receiver.posts) == 1

        await until(posted, 40)


async def test_a_socket_is_refused_while_the_database_is_away(own_postgres: PostgresServer) -> None:
    await asyncio.to_thread(fill, own_postgres.url(), "notifier")
    settings = settings_with(own_postgres.url(user="notifier"))
    async with running(settings) as notifier:
        await asyncio.to_thread(own_postgres.stop, "immediate")
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{notifier.sockets}/notifications/ws", open_timeout=30)
        await asyncio.to_thread(own_postgres.start)
    assert refused.value.response.status_code == 503
