"""Notifications as a list, and the whole API against its own description."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from scripts.embedded.postgres import PostgresServer
from services.notifier.api.app import Parts, build_app
from services.notifier.hub import Hub
from services.notifier.settings import NotifierSettings
from tests.integration.notifier.conftest import Running, new_id, running, settings_with, told
from tests.support.notifier_events import alert, failed, succeeded
from tests.support.running import bearer, on_own_thread
from tests.support.services import service_database


async def sequences(http: httpx.AsyncClient, query: str, headers: dict[str, str]) -> list[int]:
    answer = await http.get(f"/notifications{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["sequence"] for item in answer.json()["items"]]


async def test_pages_go_from_new_to_old_and_end(notifier: Running, http: httpx.AsyncClient) -> None:
    await notifier.publish(*[succeeded(user_id="mina") for _ in range(7)], succeeded(user_id="jun"))
    await told(notifier, 8)
    found: list[int] = []
    cursor = None
    while True:
        parameters = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/notifications", params=parameters, headers=bearer("mina"))).json()
        found += [item["sequence"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(found) == 7
    assert found == sorted(found, reverse=True)


async def test_a_list_may_be_narrowed(notifier: Running, http: httpx.AsyncClient) -> None:
    root = bearer("root", "admin")
    for event in (succeeded(), failed(), alert(about="t1", severity="critical"), alert(about="t2", alert_type="other")):
        await notifier.publish(event)
    await told(notifier, 4)
    everything = (await http.get("/notifications", headers=root)).json()["items"]
    for query, holds in (
        ("kind=success", lambda item: item["kind"] == "success"),
        ("severity=critical", lambda item: item["severity"] == "critical"),
        ("type=other", lambda item: item["type"] == "other"),
        ("subject=t1", lambda item: item["about"] == "t1"),
    ):
        wanted = [item["sequence"] for item in everything if holds(item)]
        assert len(wanted) == 1
        assert await sequences(http, f"?{query}", root) == wanted


async def test_everybody_sees_what_is_theirs(notifier: Running, http: httpx.AsyncClient) -> None:
    mine, job_id = failed(user_id="mina"), new_id()
    await notifier.publish(mine, failed(job_id=job_id))
    await told(notifier, 2)
    assert await sequences(http, "", {}) == []
    assert len(await sequences(http, f"?about={job_id}&about={mine.job_id}", {})) == 1
    assert len(await sequences(http, "", bearer("mina"))) == 1
    assert len(await sequences(http, "", bearer("jun"))) == 0
    assert len(await sequences(http, "", bearer("root", "admin"))) == 2


async def test_one_notification_is_404_for_whom_it_is_not(notifier: Running, http: httpx.AsyncClient) -> None:
    await notifier.publish(alert(user_id="mina", stack_trace="line 1", error_message="why"))
    await told(notifier, 1)
    [item] = (await http.get("/notifications", headers=bearer("mina"))).json()["items"]
    path = f"/notifications/{item['notification_id']}"
    own = (await http.get(path, headers=bearer("mina"))).json()
    assert (own["error_message"], own["stack_trace"], own["project_id"]) == ("why", "", "")
    full = (await http.get(path, headers=bearer("root", "admin"))).json()
    assert (full["stack_trace"], full["project_id"]) == ("line 1", "querycraft-local")
    for headers in (bearer("jun"), {}):
        refused = await http.get(path, headers=headers)
        assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")


async def test_a_wrong_parameter_is_named(http: httpx.AsyncClient) -> None:
    for query in ("cursor=0", "cursor=9" + "9" * 19, "limit=0", "limit=201", "kind=x", "type=%00", "about=%1b"):
        answer = await http.get(f"/notifications?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), query
        assert answer.json()["errors"][0]["field"].startswith(query.partition("=")[0])


class _Nothing:
    """Only for describing the API: has every part, and none of them does anything."""

    def __getattr__(self, name: str) -> "_Nothing":
        return _Nothing()


schema = schemathesis.openapi.from_dict(
    build_app(
        NotifierSettings(database_url="postgresql://unused"),
        Parts(_Nothing(), Hub(_Nothing(), max_clients=1), _Nothing(), _Nothing(), _Nothing(), lambda: None),
    ).openapi()
).exclude(path="/notifications/stream", method="GET")  # it never ends; test_sse.py has its own cases


@pytest.fixture(scope="module")
def served(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of one service for all the requests, which none of them may break."""
    with service_database(postgres_server, "notifier") as database_url:

        @asynccontextmanager
        async def serve() -> AsyncIterator[str]:
            async with running(settings_with(database_url)) as service:
                yield service.url

        with on_own_thread(serve) as url:
            yield url


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_a_client_sends_breaks_the_service(case: schemathesis.Case, served: str) -> None:
    answer = case.call(base_url=served, timeout=10)
    assert answer.status_code < 500, answer.text
    case.validate_response(answer, checks=[content_type_conformance, status_code_conformance])
