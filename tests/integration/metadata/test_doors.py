"""Change events over HTTP become one refresh a window; refreshes by hand, feedback, and who may do what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from google.cloud.bigquery import SchemaField
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts.alerts import AlertRaised
from contracts.metadata import MetadataRefreshed
from services.kernel import metrics
from services.kernel.identity import IdentitySettings, TokenVerifier
from services.kernel.messaging import dead_letters
from services.kernel.messaging.replayer import Replayer
from services.metadata.api import events
from services.metadata.api.app import Parts, build_app
from services.metadata.api.events import SUBSCRIPTION, EventDoor
from services.metadata.domain.events import EventRefused, Hint, HintKind
from services.metadata.loops import follow_hints
from services.metadata.tally import counting
from tests.integration.metadata.conftest import Workshop
from tests.integration.metadata.test_refreshing import orders
from tests.support import audit_logs
from tests.support.services import UNCLOSED, emitted, until

pytestmark = pytest.mark.filterwarnings(UNCLOSED)

KEY = "k" * 40


def token(user: str = "kim", roles: tuple[str, ...] = ()) -> dict[str, str]:
    claims = {"sub": user, "roles": list(roles), "iss": "querycraft", "aud": "querycraft", "exp": time.time() + 86_400}
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}


ADMIN = token("root", ("admin",))


@pytest.fixture
def door(workshop: Workshop) -> EventDoor:
    tokens = TokenVerifier(IdentitySettings(database_url="postgresql://unused", identity_key=KEY))
    return EventDoor(workshop.hints, workshop.database, workshop.scope, 0.0, (), tokens, workshop.project)


@pytest.fixture
async def http(workshop: Workshop, door: EventDoor) -> AsyncIterator[httpx.AsyncClient]:
    tokens, scope = door.tokens, workshop.scope
    parts = Parts(workshop.reconciler(), workshop.cache, workshop.hints, workshop.feedback, door, scope, tokens, 120.0)
    transport = httpx.ASGITransport(build_app(parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://metadata", headers=ADMIN) as client:
        yield client


async def send(http: httpx.AsyncClient, envelope: str, event: Any) -> httpx.Response:
    headers, body = audit_logs.ENVELOPES[envelope](event)
    return await http.post("/events/bigquery", content=body, headers=headers)


async def test_ddl_in_bigquery_reaches_the_cache_through_its_audit_log_in_every_envelope(
    workshop: Workshop, http: httpx.AsyncClient
) -> None:
    orders(workshop)
    await workshop.refresh()
    table = workshop.table("orders")
    for envelope in audit_logs.ENVELOPES:
        workshop.run(f"CREATE OR REPLACE TABLE {table.quoted} (id INT64, note_{envelope} STRING)")
        answer = await send(http, envelope, audit_logs.alter_table(str(table)))
        assert (answer.status_code, answer.json()["accepted"]) == (202, [str(table)]), envelope
        assert await workshop.hint_worker().work() == 1, envelope
        cached = await workshop.cached("orders")
        assert cached is not None
        assert list(cached.table.paths()) == ["id", f"note_{envelope}"]
        assert await workshop.hint_worker().work() == 0, envelope


async def test_many_events_within_the_window_are_one_refresh(workshop: Workshop, http: httpx.AsyncClient) -> None:
    orders(workshop)
    table = str(workshop.table("orders"))
    events = [shape(table) for shape in audit_logs.SHAPES.values()] * 5
    answers = await asyncio.gather(*(send(http, "pubsub_push", event) for event in events))
    assert {answer.status_code for answer in answers} == {202}
    with counting() as calls:
        assert await workshop.hint_worker().work() == 1
    assert (calls["get_table"], calls["information_schema"]) == (1, 1)
    assert len(await emitted(workshop.database, MetadataRefreshed)) == 1


async def test_a_hint_waits_for_its_window_and_one_during_the_refresh_for_another(workshop: Workshop) -> None:
    hint = Hint(workshop.table("orders"), HintKind.CHANGED)
    await workshop.hints.add([hint], 60.0)
    assert await workshop.hints.take(10, 30) == []
    await workshop.database.execute("UPDATE table_hints SET due_at = now()")
    [taken] = await workshop.hints.take(10, 30)
    assert await workshop.hints.take(10, 30) == [], "leased"
    await workshop.hints.add([hint], 60.0)
    await workshop.hints.settle([taken], 0.0)
    [again] = await workshop.hints.take(10, 30)
    await workshop.hints.settle([taken], 0.0)
    assert await workshop.database.pool.fetchval("SELECT count(*) FROM table_hints") == 1, (
        "an old lease settles nothing"
    )
    await workshop.hints.settle([again], 0.0)
    assert await workshop.database.pool.fetchval("SELECT count(*) FROM table_hints") == 0


async def test_the_loop_follows_hints(workshop: Workshop) -> None:
    orders(workshop)
    loop = asyncio.create_task(follow_hints(workshop.hint_worker()))
    await workshop.hints.add([Hint(workshop.table("orders"), HintKind.CREATED)], 0.0)

    async def there() -> bool:
        return await workshop.cached("orders") is not None

    await until(there)
    loop.cancel()
    [ended] = await asyncio.gather(loop, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), "it follows hints until it is told to stop"


async def test_tables_of_others_are_ignored_and_vanished_ones_bother_nobody(
    workshop: Workshop, http: httpx.AsyncClient
) -> None:
    answer = await send(http, "binary", audit_logs.table_change("other-project.shop.orders"))
    assert (answer.status_code, answer.json()["ignored"]) == (200, ["other-project.shop.orders"])
    await send(http, "binary", audit_logs.table_deletion(str(workshop.table("scratch"))))
    assert await workshop.hint_worker().work() == 1
    assert await emitted(workshop.database, AlertRaised) == []
    assert await workshop.database.pool.fetchval("SELECT count(*) FROM table_hints") == 0


async def test_malformed_events_are_answered_and_kept(workshop: Workshop, http: httpx.AsyncClient) -> None:
    headers, _ = audit_logs.binary({})
    delivered = await http.post("/events/bigquery", content=b"\x00{", headers=headers)
    assert (delivered.status_code, delivered.json()["status"]) == (200, "dead_lettered")
    pushed = await send(http, "pubsub_push", {"protoPayload": {"serviceName": "storage.googleapis.com"}})
    assert pushed.json()["status"] == "dead_lettered"
    await send(http, "pubsub_push", {"protoPayload": {"serviceName": "storage.googleapis.com"}})
    direct = await http.post("/events/bigquery", json={"hello": "world"})
    assert direct.status_code == 400
    assert direct.headers["content-type"] == "application/problem+json"
    assert "protoPayload" in direct.json()["detail"]
    letters = await dead_letters.listing(workshop.database.pool, subscription=SUBSCRIPTION)
    assert len(letters) == 3, "the same delivery again is the same dead letter"
    assert letters[0].envelope.data == b"\x00{"
    alerts = await emitted(workshop.database, AlertRaised)
    assert {alert.alert_type for alert in alerts} == {"dead_letter"}


@pytest.mark.parametrize("envelope", audit_logs.ENVELOPES)
async def test_a_dead_letter_is_replayed_through_the_door_that_refused_it(
    workshop: Workshop, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, door: EventDoor, envelope: str
) -> None:
    table = str(workshop.table("orders"))
    with monkeypatch.context() as older:  # a version that does not know this shape yet
        older.setattr(events, "hints_in", _refuse)
        await send(http, envelope, audit_logs.table_change(table))
        pool = workshop.database.pool
        [letter] = await dead_letters.listing(pool, subscription=SUBSCRIPTION)
        replayer = Replayer(pool, {SUBSCRIPTION: door})
        await dead_letters.request_replay(pool, [letter.id])
        assert await replayer.replay_due() == 0
        [again] = await dead_letters.listing(pool, subscription=SUBSCRIPTION)
        assert (again.id, again.replays, again.attempt) == (letter.id, 1, letter.attempt + 1)
    await dead_letters.request_replay(pool, [letter.id])
    assert await replayer.replay_due() == 1
    assert await dead_letters.listing(pool, subscription=SUBSCRIPTION) == []
    [hint] = await workshop.hints.take(10, 30)
    assert str(hint.table) == table


def _refuse(entry: Any) -> None:
    raise EventRefused("protoPayload: a shape of tomorrow")


async def test_only_those_who_may_come_in(http: httpx.AsyncClient) -> None:
    headers, body = audit_logs.bare(audit_logs.table_change("some-project.shop.orders"))
    for caller, status in (({"authorization": "Bearer x"}, 401), (token(), 403)):
        answer = await http.post("/events/bigquery", content=body, headers={**headers, **caller})
        assert answer.status_code == status
        assert (await http.post("/refresh", json={}, headers=caller)).status_code == status
    del http.headers["authorization"]
    for path in ("/tables", "/tables/some-project.shop.orders"):
        assert (await http.get(path)).status_code == 401
    assert (await http.post("/events/bigquery", content=body, headers=headers)).status_code == 401


async def test_a_refresh_by_hand_answers_with_the_run(workshop: Workshop, http: httpx.AsyncClient) -> None:
    orders(workshop)
    answer = await http.post("/refresh", json={})
    assert answer.status_code == 200
    run = answer.json()
    assert {"status", "message", "execution_time", "updated", "examples_count", "columns_count"} <= set(run)
    assert (run["status"], run["updated"], run["examples_count"], run["columns_count"]) == ("success", 1, 5, 6)
    assert run["calls"]["model"] == 1
    table = str(workshop.table("orders"))
    assert (await http.get("/tables")).json()["tables"][table]["examples_count"] == 5
    assert (await http.get(f"/tables/{table}")).json()["schema"]["table_id"] == table
    again = (await http.post("/refresh", json={"tables": table})).json()
    assert (again["updated"], again["tables"]) == (0, {"unchanged": 1})


async def test_runs_are_counted_by_status_and_error_type_with_their_duration(
    workshop: Workshop, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    meter = provider.get_meter("test")
    monkeypatch.setattr(metrics, "METADATA_RUNS", meter.create_counter("runs"))
    monkeypatch.setattr(metrics, "METADATA_SECONDS", meter.create_histogram("seconds"))
    workshop.create("visits", [SchemaField("id", "INTEGER")])
    assert (await http.post("/refresh", json={})).status_code == 200
    assert (await http.post("/refresh", json={"tables": str(workshop.table("nowhere"))})).status_code == 422
    data = reader.get_metrics_data()
    assert data is not None
    found = {m.name: list(m.data.data_points) for m in data.resource_metrics[0].scope_metrics[0].metrics}
    runs = {(str(p.attributes["status"]), str(p.attributes["error_type"])): p.value for p in found["runs"]}
    assert runs == {("success", "none"): 1, ("failed", "table_gone"): 1}
    assert {p.attributes["status"]: p.count for p in found["seconds"]} == {"success": 1, "failed": 1}
    provider.shutdown()


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"tables": ["orders"]}, "orders"),
        ({"datasets": ["some-project.other"]}, "QC_METADATA_TARGETS"),
        ({"tables": ["other-project.shop.orders"]}, "QC_METADATA_TARGETS"),
        ({"force": "yes"}, "force"),
        ({"everything": True}, "everything"),
    ],
)
async def test_wrong_refreshes_are_told_what_is_wrong(http: httpx.AsyncClient, body: Any, part: str) -> None:
    answer = await http.post("/refresh", json=body)
    assert answer.status_code == 422
    assert part in answer.text


async def test_feedback_changes_the_score_and_corrections_take_their_place(
    workshop: Workshop, http: httpx.AsyncClient
) -> None:
    orders(workshop)
    await workshop.refresh()
    before = await workshop.cached("orders")
    assert before is not None
    liked, wrong, *_ = before.examples
    path = f"/tables/{workshop.table('orders')}/examples"
    for user in ("kim", "lee", "park"):
        answer = await http.post(f"{path}/{liked.id}/feedback", json={"verdict": "worked"}, headers=token(user))
        assert answer.status_code == 202
    assert answer.json()["feedback"] == 0.8
    correction = f"SELECT COUNT(DISTINCT id) AS orders FROM {workshop.table('orders').quoted}"
    await http.post(
        f"{path}/{wrong.id}/feedback", json={"verdict": "wrong", "corrected_sql": correction}, headers=token("kim")
    )
    with counting() as calls:
        assert await workshop.hint_worker().work() == 1
    assert calls["model"] == 0, "a correction needs no model"
    after = await workshop.cached("orders")
    assert after is not None
    stored = {example.id: example for example in after.examples}
    assert wrong.id not in stored
    [corrected] = [example for example in after.examples if example.source == "feedback"]
    assert (corrected.sql, corrected.question) == (correction, wrong.question)
    assert liked.quality is not None
    assert stored[liked.id].quality is not None
    assert stored[liked.id].quality.score > liked.quality.score  # type: ignore[union-attr]


async def test_one_person_has_one_voice_and_corrections_must_be_queries_on_the_table(
    workshop: Workshop, http: httpx.AsyncClient
) -> None:
    orders(workshop)
    await workshop.refresh()
    cached = await workshop.cached("orders")
    assert cached is not None
    path = f"/tables/{workshop.table('orders')}/examples/{cached.examples[0].id}/feedback"
    for verdict in ("wrong", "wrong", "worked"):
        answer = await http.post(path, json={"verdict": verdict}, headers=token())
    assert answer.json()["feedback"] == round(2 / 3, 4)
    for sql in ("DROP TABLE x", "SELECT 1 AS a FROM `other-project.shop.orders`", "SELECT 1; SELECT 2", "nonsense("):
        refused = await http.post(path, json={"verdict": "wrong", "corrected_sql": sql}, headers=token())
        assert refused.status_code == 422, sql
    assert (await http.post(path, json={"verdict": "bad"}, headers=token())).status_code == 422
    unknown = path.replace(cached.examples[0].id, "0" * 16)
    assert (await http.post(unknown, json={"verdict": "worked"}, headers=token())).status_code == 404
