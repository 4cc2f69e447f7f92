"""A refresh longer than a push may last goes on in a process of its own, which ends the job."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from google.cloud.bigquery import SchemaField

from contracts.jobs import JobSucceeded
from scripts.embedded.ports import free_port
from services.kernel.errors import TransientError
from services.kernel.jobs.launcher import CloudRunLauncher
from services.kernel.metadata_cache import MetadataCache
from services.metadata import reconcile
from services.metadata.bootstrap import build
from services.metadata.handlers import Refreshing, refresh_metadata
from services.metadata.settings import MetadataSettings
from tests.integration.metadata.conftest import DATASET, Workshop
from tests.support.services import UNCLOSED, delivery_of, emitted, job_requested, until

pytestmark = pytest.mark.filterwarnings(UNCLOSED)


@pytest.fixture
def environment(workshop: Workshop, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process and the one it starts read their settings from. Only this one has no time for any table."""
    monkeypatch.setattr(reconcile, "RESERVE_SECONDS", 3_600.0)
    for name, value in {
        "QC_DATABASE_URL": database_url,
        "QC_HTTP_PORT": str(free_port()),
        "QC_METADATA_TARGETS": f"{workshop.project}.{DATASET}",
        "QC_IDENTITY_KEY": "k" * 40,
        "QC_LOG_LEVEL": "ERROR",
        "GCS_BUCKET": workshop.objects.bucket,
        "GOOGLE_CLOUD_PROJECT": workshop.project,
    }.items():
        monkeypatch.setenv(name, value)


async def run_of(workshop: Workshop, job_id: str) -> Any:
    """What the worker knows of the job: its state, its outcome, and whether somebody holds it."""
    sql = "SELECT state, outcome, heartbeat_at IS NOT NULL AS held FROM job_runs WHERE job_id = $1"
    return await workshop.database.fetchrow(sql, uuid.UUID(job_id))


@pytest.mark.usefixtures("environment")
async def test_a_refresh_without_time_is_ended_by_a_process_of_its_own(workshop: Workshop) -> None:
    workshop.create("visits", [SchemaField("id", "INTEGER")], [{"id": 1}])
    service = await build(MetadataSettings())
    request = job_requested("metadata_refresh", "everything")
    try:
        [worker] = service.workers
        assert await worker.dispatch(delivery_of(request)) == "ack", "the message is done with, the job is not"

        async def ended() -> bool:
            return (await run_of(workshop, request.job_id))["state"] == "done"

        await until(ended, 60)
    finally:
        for close in service.on_close:
            await close()
        await service.broker.close()
        await service.database.close()
    outcome = json.loads((await run_of(workshop, request.job_id))["outcome"])
    assert (outcome["status"], outcome["result"]["tables"]) == ("succeeded", {"created": 1})
    assert (await MetadataCache(workshop.objects).table(str(workshop.table("visits")))).state == "fresh"


@pytest.mark.usefixtures("environment")
async def test_in_the_cloud_the_process_is_a_cloud_run_job_of_this_service(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How the request goes over the wire is the launcher's own test."""
    workshop.create("visits", [SchemaField("id", "INTEGER")])
    launched: list[tuple[str, str]] = []

    async def launch(self: CloudRunLauncher, service: str, job_id: str) -> None:
        launched.append((service, job_id))

    monkeypatch.setattr(CloudRunLauncher, "launch", launch)
    monkeypatch.setenv("QC_LAUNCHER", "cloud_run")
    service = await build(MetadataSettings())
    request = job_requested("metadata_refresh", "everything")
    try:
        assert await service.workers[0].dispatch(delivery_of(request)) == "ack"
    finally:
        for close in service.on_close:
            await close()
        await service.broker.close()
        await service.database.close()
    assert launched == [("metadata", request.job_id)]
    run = await run_of(workshop, request.job_id)
    assert (run["state"], run["held"]) == ("running", False), "let go of, for the process to take"
    assert await emitted(workshop.database, JobSucceeded) == []


async def test_inside_such_a_process_nothing_is_passed_on_and_a_run_that_reached_nothing_is_tried_again(
    workshop: Workshop,
) -> None:
    workshop.create("visits", [SchemaField("id", "INTEGER")])

    class Context:
        job = job_requested("metadata_refresh", "everything")
        deadline = 0.0

        async def step(self, name: str, progress: int) -> None:
            return None

    context: Any = Context()
    with pytest.raises(TransientError, match="1 left for the next run") as raised:
        await refresh_metadata(context, Refreshing(workshop.reconciler(), workshop.scope))
    assert raised.value.code == "out_of_time"
