"""Long jobs handed to a process of their own: the Cloud Run call as it goes over the wire, and the local child."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.cloud import run_v2
from google.cloud.run_v2.services.jobs.transports import JobsGrpcAsyncIOTransport
from google.longrunning import operations_pb2

from services.kernel import telemetry
from services.kernel.errors import PermanentError, TransientError
from services.kernel.jobs.launcher import ChildProcessLauncher, CloudRunLauncher


class _Jobs(grpc.GenericRpcHandler):
    """``google.cloud.run.v2.Jobs`` as far as RunJob; ``fail_with`` makes it refuse."""

    def __init__(self, fail_with: grpc.StatusCode | None = None) -> None:
        self.requests: list[run_v2.RunJobRequest] = []
        self.fail_with = fail_with

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != "/google.cloud.run.v2.Jobs/RunJob":
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._run_job,
            request_deserializer=run_v2.RunJobRequest.deserialize,
            response_serializer=operations_pb2.Operation.SerializeToString,
        )

    async def _run_job(
        self, request: run_v2.RunJobRequest, context: grpc.aio.ServicerContext
    ) -> operations_pb2.Operation:
        self.requests.append(request)
        if self.fail_with is not None:
            await context.abort(self.fail_with, "as the test wishes")
        return operations_pb2.Operation(name="operations/1")


@asynccontextmanager
async def launcher_on(jobs: _Jobs) -> AsyncIterator[CloudRunLauncher]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((jobs,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    transport = JobsGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
    launcher = CloudRunLauncher("acme", "asia-northeast3", run_v2.JobsAsyncClient(transport=transport))
    try:
        yield launcher
    finally:
        await launcher.close()
        await server.stop(None)


async def test_cloud_run_is_asked_for_the_services_job_with_the_job_id_as_argument() -> None:
    jobs = _Jobs()
    async with launcher_on(jobs) as launcher:
        with telemetry.span("job"):
            await launcher.launch("generator", "11111111-1111-1111-1111-111111111111")
            traceparent = telemetry.current_traceparent()
    [request] = jobs.requests
    assert request.name == "projects/acme/locations/asia-northeast3/jobs/querycraft-generator"
    [container] = request.overrides.container_overrides
    assert list(container.args) == ["run-job", "11111111-1111-1111-1111-111111111111"]
    assert {entry.name: entry.value for entry in container.env} == {"TRACEPARENT": traceparent}
    assert request.overrides.task_count == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, PermanentError),
        (grpc.StatusCode.PERMISSION_DENIED, PermanentError),
        (grpc.StatusCode.UNAVAILABLE, TransientError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, TransientError),
    ],
)
async def test_refusals_are_typed_by_remedy(status: grpc.StatusCode, expected: type[Exception]) -> None:
    async with launcher_on(_Jobs(status)) as launcher:
        with pytest.raises(expected, match="querycraft-generator"):
            await launcher.launch("generator", "1")


@pytest.fixture
def service_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with ``services.<name>.main`` modules that a child process can run."""
    package = tmp_path / "services" / "waiting"
    package.mkdir(parents=True)
    (package / "main.py").write_text(
        "import os, pathlib, signal, sys, time\n"
        "record = pathlib.Path(os.environ['RECORD'])\n"
        "with record.open('a') as file:\n"
        "    file.write(' '.join([*sys.argv[1:], os.environ['TRACEPARENT']]) + '\\n')\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "record.with_suffix('.pid').write_text(str(os.getpid()))\n"
        "record.with_suffix('.ready').touch()\n"
        "time.sleep(60)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


async def _ready(record: Path) -> None:
    async with asyncio.timeout(20):
        while not record.with_suffix(".ready").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)


async def test_a_child_gets_the_job_once_and_ends_with_its_launcher(service_path: Path) -> None:
    record = service_path / "record"
    launcher = ChildProcessLauncher({"RECORD": str(record)})
    with telemetry.span("job"):
        traceparent = telemetry.current_traceparent()
        await launcher.launch("waiting", "job-1")
        await launcher.launch("waiting", "job-1")
    await _ready(record)
    await launcher.close()
    assert record.read_text().splitlines() == [f"run-job job-1 {traceparent}"]


async def test_a_child_that_does_not_stop_is_killed(service_path: Path) -> None:
    main, record = service_path / "services" / "waiting" / "main.py", service_path / "record"
    main.write_text(main.read_text().replace("lambda *_: sys.exit(3)", "signal.SIG_IGN"))
    launcher = ChildProcessLauncher({"RECORD": str(record)})
    await launcher.launch("waiting", "job-1")
    await _ready(record)
    await launcher.close(grace_seconds=0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(record.with_suffix(".pid").read_text()), 0)
