"""Where messages are pushed, the same handlers answer behind the push endpoint."""

import base64

import httpx

from contracts.jobs import JobFailed
from services.kernel.messaging.envelope import seal
from tests.integration.notifier.conftest import Settings, running, told
from tests.support.notifier_events import failed


async def test_a_pushed_event_becomes_one_notification(settings: Settings) -> None:
    envelope = seal(failed(user_id="mina"), "intake")
    name = f"notifier.{JobFailed.topic()}"
    body = {
        "message": {
            "data": base64.b64encode(envelope.data).decode(),
            "attributes": dict(envelope.attributes),
            "messageId": "1",
        },
        "subscription": f"projects/querycraft-local/subscriptions/{name}",
    }
    async with (
        running(settings(delivery="push", push_emulator=True)) as notifier,
        httpx.AsyncClient(base_url=notifier.url) as http,
    ):
        for _ in range(2):
            answer = await http.post(f"/push/{name}", json=body)
            assert answer.status_code == 204, answer.text
        await told(notifier, 1)
        assert (await http.post("/push/notifier.unknown.v1", json=body)).status_code == 404
