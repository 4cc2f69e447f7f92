"""The main job, end to end, on the embedded default: a problem is made, three answers are judged, people are told.

    python -m scripts.demo [--out build/demo.json]

Exit code 0 only when every step really happened; otherwise the reason is printed.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from scripts.demo.answers import Answers, find_answers
from scripts.demo.listeners import Listener, access_token, listening
from scripts.demo.trace import flatten, read_trace
from scripts.embedded.platform import Options, Platform, temporary_directory

USER = "demo-learner"
COUNT, SEED = 5, 7
EXPECTED = {"lucky": "wrong", "wrong": "wrong", "right": "correct"}


class DemoFailed(RuntimeError):
    """A step did not happen as promised."""


class Report:
    """What goes into demo.json."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, str]] = []
        self.verdicts: list[dict[str, Any]] = []
        self.seconds: dict[str, float] = {}
        self.notifications = 0
        self.trace_id = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)

    def as_dict(self) -> dict[str, Any]:
        return {
            "jobs": self.jobs,
            "verdicts": self.verdicts,
            "notifications": self.notifications,
            "seconds": self.seconds,
            "trace_id": self.trace_id,
        }


async def run_job(
    http: httpx.AsyncClient, report: Report, body: dict[str, Any], *, show: bool = True
) -> dict[str, Any]:
    """Submit a job, follow its progress live, and return its final state with the trace id of its request."""
    answer = await http.post("/api/ai/jobs", json=body, headers={"Prefer": "respond-async"})
    if answer.status_code != httpx.codes.ACCEPTED:
        raise DemoFailed(f"the job was not accepted: {answer.status_code} {answer.text}")
    job_id = answer.json()["jobId"]
    async with http.stream("GET", f"/api/ai/jobs/{job_id}/events") as events:
        async for line in events.aiter_lines():
            if line.startswith("data:") and show:
                event = json.loads(line.removeprefix("data:"))
                print(f"   {event['progress']:>3} %  {event['status']:<11} {event['currentStep'] or ''}", flush=True)
    job: dict[str, Any] = (await http.get(f"/api/ai/jobs/{job_id}")).json()
    report.jobs.append({"id": job_id, "type": body["type"], "status": job["status"]})
    return {**job, "trace_id": answer.headers["trace-id"]}


async def make_problem(http: httpx.AsyncClient, platform: Platform, report: Report) -> tuple[dict[str, Any], Answers]:
    """Problems for the ``pa`` data set; the first one that somebody could get right by luck is shown."""
    options = {"priority": "high", "count": COUNT, "seed": SEED, "difficulty": ["medium", "hard"]}
    job = await run_job(http, report, {"type": "problem_generation", "query": "pa", "options": options})
    if job["status"] != "completed":
        raise DemoFailed(f"no problem was made: {job['error']}")
    report.trace_id = job["trace_id"]
    for problem in job["result"]["problems"]:
        answers = await asyncio.to_thread(
            find_answers,
            platform.database_url(),
            platform.storage.url,
            problem["id"],
            platform.options.directory,
        )
        if answers is not None:
            return problem, answers
    raise DemoFailed("none of the problems has an answer that is right only by luck")


async def grade(http: httpx.AsyncClient, report: Report, problem_id: str, answers: Answers) -> None:
    for kind, sql in (("lucky", answers.lucky), ("wrong", answers.wrong), ("right", answers.right)):
        print(f"\n   the {kind} answer:\n{_indented(sql)}")
        query = json.dumps({"problem_id": problem_id, "sql": sql})
        job = await run_job(http, report, {"type": "grading", "query": query}, show=False)
        if job["status"] != "completed":
            raise DemoFailed(f"the {kind} answer was not judged: {job['error']}")
        result = job["result"]
        report.verdicts.append(
            {"answer": kind, "verdict": result["verdict"], "counterexample": result["counterexample"]}
        )
        print(f"   -> {result['verdict']}")
        if result["counterexample"]:
            print(_indented(described(result["counterexample"])))
        if result["verdict"] != EXPECTED[kind]:
            raise DemoFailed(f"the {kind} answer was judged {result['verdict']}")
        if (result["counterexample"] is None) == (result["verdict"] == "wrong"):
            raise DemoFailed(f"the verdict on the {kind} answer and its counterexample do not fit")


async def raise_alert(http: httpx.AsyncClient, report: Report) -> None:
    """A job that cannot succeed: its worker's error reaches the client and the people who watch."""
    job = await run_job(http, report, {"type": "problem_generation", "query": '{"data_type": "no_such_table"}'})
    print(f"   error: {job['error']}")
    if job["status"] != "failed" or not job["error"]:
        raise DemoFailed(f"a job on an unknown table ended as {job['status']}")


async def await_notifications(listener: Listener, report: Report) -> None:
    graded = [job["id"] for job in report.jobs]
    missing = await listener.wait_for(set(graded), seconds=15)
    for note in listener.from_topic:
        print(f"   {note.kind:<8} {note.type:<20} {note.text.en}")
    report.notifications = len(listener.over_websocket)
    if missing:
        raise DemoFailed(f"no notification about {', '.join(sorted(missing))}")
    if not any(note.kind == "alert" for note in listener.from_topic):
        raise DemoFailed("no alert arrived on the alerts topic")


async def show_trace(platform: Platform, report: Report) -> None:
    directory = platform.options.directory / "telemetry"
    deadline = time.monotonic() + 10
    while True:
        spans = flatten(read_trace(directory, report.trace_id))
        services = {span.service for _, span in spans}
        if {"intake", "generator", "notifier"} <= services or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    print(f"   trace {report.trace_id}")
    for depth, span in spans:
        print(f"   {span.service:<10} {'  ' * depth}{span.name}")
    if not {"intake", "generator", "notifier"} <= services:
        raise DemoFailed(f"the trace reaches only {', '.join(sorted(services)) or 'nothing'}")


async def play(platform: Platform, report: Report) -> None:
    token = access_token(platform, USER)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        listening(platform, token) as listener,
        httpx.AsyncClient(base_url=platform.url(), headers=headers, timeout=60) as http,
    ):
        with report.step("a problem for the pa data set"):
            problem, answers = await make_problem(http, platform, report)
            _show_problem(problem)
        with report.step("three answers"):
            await grade(http, report, problem["id"], answers)
        with report.step("a job that fails"):
            await raise_alert(http, report)
        with report.step("alerts and notifications"):
            await await_notifications(listener, report)
        with report.step("one trace from HTTP to notification"):
            await show_trace(platform, report)


def described(counterexample: dict[str, Any]) -> str:
    """The small data set that tells the answer from the reference, what each returns on it, and what differs."""
    lines = ["on this data set:"]
    for table, rows in counterexample["data_set"].items():
        lines += [f"  {table}: {', '.join(f'{name}={value!r}' for name, value in row.items())}" for row in rows]
        lines += [] if rows else [f"  {table}: (empty)"]
    for name, side in (("expected", counterexample["expected"]), ("your answer", counterexample["actual"])):
        lines.append(f"{name}: {side['rows'] or 'no rows'}")
    lines += [f"{name}: {counterexample[name]}" for name in ("missing", "extra") if counterexample[name]]
    lines.append(f"what differs: {counterexample['difference']}")
    return "\n".join(lines)


def _show_problem(problem: dict[str, Any]) -> None:
    for language in ("en", "ko"):
        print(f"   [{language}] {problem['title'][language]}")
        print(_indented(problem["description"][language]))
    print(f"   difficulty {problem['difficulty']}; {', '.join(problem['tags'])}")


def _indented(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the main job, end to end.")
    parser.add_argument("--out", type=Path, default=Path("build/demo.json"))
    arguments = parser.parse_args()
    report = Report()
    failure = ""
    with temporary_directory() as directory:
        options = Options(directory, environment={"QC_TELEMETRY_EXPORTER": "file"})
        try:
            with report.step("starting the platform"):
                platform = Platform(options)
                platform.start()
            asyncio.run(play(platform, report))
        except DemoFailed as error:
            failure = str(error)
        finally:
            with report.step("stopping"):
                killed = platform.stop()
    if killed:
        failure = failure or f"had to be killed: {', '.join(killed)}"
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report.as_dict(), ensure_ascii=False, indent=2, default=str), encoding="utf-8")
    if failure:
        print(f"\nthe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"\nall of it happened, in {sum(report.seconds.values()):.1f} s; see {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
