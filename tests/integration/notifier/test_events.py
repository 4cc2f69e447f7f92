"""From an event on the broker to a notification in the table and on the alerts topic."""

import json

import httpx
import pytest

from contracts import manifest
from contracts.alerts import NotificationPublished
from contracts.jobs import JobFailed, JobSucceeded
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope, seal, unseal
from services.kernel.messaging.outcomes import Done
from tests.integration.notifier.conftest import Running, Settings, new_id, running, told
from tests.support.notifier_events import alert, cancelled, failed, graded, succeeded
from tests.support.running import bearer


async def tapped(notifier: Running, number: int) -> list[Envelope]:
    """The next messages on the alerts topic, read as an outsider would."""
    [tap] = [sub for sub in manifest.subscriptions_of("outside") if sub.message is NotificationPublished]
    found = []
    async with notifier.service.broker.subscribe(tap, capacity=100) as stream:
        while len(found) < number:
            deliveries = await stream.pull(100, 5.0)
            assert deliveries, f"only {len(found)} of {number} were published"
            found += [delivery.envelope for delivery in deliveries]
            await stream.ack(deliveries)
    return found


async def published(notifier: Running, number: int) -> list[NotificationPublished]:
    return [unseal(envelope, NotificationPublished) for envelope in await tapped(notifier, number)]


async def test_every_kind_of_event_is_kept_and_published_once(notifier: Running) -> None:
    await notifier.publish(succeeded(), failed(), cancelled(), graded(), alert())
    await told(notifier, 5)
    messages = await published(notifier, 5)
    assert {message.type for message in messages} == {
        "job_succeeded",
        "job_failed",
        "job_cancelled",
        "submission_graded",
        "dead_letter",
    }
    assert all(message.text.ko and message.text.en for message in messages)
    assert await notifier.count("dead_letters") == 0


async def test_the_same_fact_told_again_changes_nothing(notifier: Running) -> None:
    event = failed(user_id="mina")
    await notifier.publish(event)
    await notifier.publish(event, message_id="another message of the same fact")
    await notifier.publish(succeeded())
    await told(notifier, 2)
    assert len(await published(notifier, 2)) == 2


async def test_the_trace_and_the_project_reach_the_notification(notifier: Running) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    await notifier.publish(failed(), traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    [message] = await published(notifier, 1)
    assert (message.trace_id, message.project_id) == (trace_id, "querycraft-local")
    assert message.error_message == "the table is gone"


async def test_secrets_of_an_alert_reach_nobody(notifier: Running, http: httpx.AsyncClient) -> None:
    await notifier.publish(
        alert(
            error_message="cannot connect to postgresql://app:hunter2@db/main",
            stack_trace="Traceback\n  connect(password='hunter2')\nAuthorization: Bearer abcdefgh12345678",
        )
    )
    [message] = await published(notifier, 1)
    answer = await http.get("/notifications", headers=bearer("root", "admin"))
    assert answer.status_code == 200, answer.text
    listed = answer.json()["items"]
    assert len(listed) == 1
    for text in (message.model_dump_json(), json.dumps(listed)):
        assert "hunter2" not in text
        assert "abcdefgh" not in text
        assert "Traceback" in text


@pytest.mark.parametrize("bad", ["\n", "\0"], ids=["newline", "nul"])
async def test_an_event_that_can_never_be_kept_becomes_a_dead_letter_and_harms_no_other(
    notifier: Running, bad: str
) -> None:
    await notifier.publish(succeeded(user_id=f"a{bad}b"), succeeded(user_id="mina"), succeeded(user_id="x" * 300))
    await told(notifier, 3)  # the good one, and one alert about each dead letter
    rows = await notifier.service.database.fetch("SELECT subscription, error_code FROM dead_letters")
    subscription = f"notifier.{JobSucceeded.topic()}"
    assert [tuple(row) for row in rows] == [(subscription, "malformed_name")] * 2


async def test_an_id_is_given_to_the_same_fact_only(notifier: Running) -> None:
    job_id = new_id()
    await notifier.publish(failed(job_id=job_id, fence=1), failed(job_id=job_id, fence=2), succeeded(job_id=job_id))
    await notifier.publish(failed(), failed())
    await told(notifier, 4)
    rows = await notifier.service.database.fetch("SELECT type FROM notifications WHERE about = $1", job_id)
    assert sorted(row["type"] for row in rows) == ["job_failed", "job_succeeded"]


async def test_a_fact_told_twice_in_one_batch_is_one_notification_on_each_event_s_own_trace(
    settings: Settings,
) -> None:
    traces = ["4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"]
    first, second = failed(user_id="mina"), failed(user_id="mina")
    async with running(settings(delivery="push", push_emulator=True)) as notifier:  # takes nothing by itself
        consumer = next(
            consumer for consumer in notifier.service.consumers if consumer.route.subscription.message is JobFailed
        )
        deliveries = [
            Delivery(seal(message, "test", traceparent=f"00-{trace}-00f067aa0ba902b7-01"), 1)
            for message, trace in ((first, traces[0]), (first, traces[0]), (second, traces[1]))
        ]
        outcomes = await consumer.handle(deliveries)
        assert [type(outcome) for outcome in outcomes] == [Done] * 3
        assert await notifier.count() == 2
        envelopes = await tapped(notifier, 2)
    told_of = {unseal(envelope, NotificationPublished).about: envelope.traceparent[3:35] for envelope in envelopes}
    assert told_of == {first.job_id: traces[0], second.job_id: traces[1]}
