"""Submissions on record: attempts, stored verdicts, one effect, rejudging, and what never leaves the service."""

import asyncio
import json
import logging
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.alerts import AlertRaised
from contracts.jobs import JobFailed, JobProgressed, JobSucceeded
from contracts.submissions import SubmissionGraded
from services.grader.adapters.problems import PostgresProblems
from services.grader.adapters.sandbox_judge import SandboxJudge
from services.grader.adapters.submissions import PostgresSubmissions
from services.grader.rejudging import rejudge
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import PermanentError
from services.kernel.jobs.worker import Worker
from tests.integration.grader.conftest import LUCKY, RIGHT, SECRETS, WRONG, Publish, submit
from tests.support.services import delivery_of, emitted, job_requested


async def test_attempts_count_per_user_and_problem(worker: Worker, database: Database, publish: Publish) -> None:
    first, second = await publish(), await publish()
    attempts = [
        (await submit(worker, database, problem.problem_id, sql, user_id=user))["attempt"]
        for problem, sql, user in [
            (first, WRONG, "mina"),
            (first, WRONG, "mina"),
            (first, WRONG, "joon"),
            (second, WRONG, "mina"),
            (first, RIGHT, "mina"),
            (first, RIGHT, ""),
            (first, RIGHT, ""),
        ]
    ]
    assert attempts == [1, 2, 1, 1, 3, 1, 1]
    assert [message.attempt for message in await emitted(database, SubmissionGraded)] == attempts


async def test_simultaneous_attempts_of_one_user_have_different_numbers(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    results = await asyncio.gather(
        *(submit(worker, database, problem.problem_id, f"{RIGHT} -- {n}", user_id="mina") for n in range(4))
    )
    assert sorted(result["attempt"] for result in results) == [1, 2, 3, 4]
    in_force = "SELECT count(*) FROM verdicts WHERE superseded_at IS NULL"
    assert await database.pool.fetchval(in_force) == 1


async def test_the_same_answer_gets_the_stored_verdict(worker: Worker, database: Database, publish: Publish) -> None:
    problem = await publish()
    first = await submit(worker, database, problem.problem_id, WRONG)
    again = await submit(
        worker, database, problem.problem_id, "-- my try\nSELECT country,  count(*)\nFROM members GROUP BY country ;"
    )
    other = await submit(worker, database, problem.problem_id, WRONG + " HAVING count(*) > 1")
    assert [first["reused"], again["reused"], other["reused"]] == [False, True, False]
    same = {"verdict", "score", "mistake", "counterexample", "explanation", "judged"}
    assert {name: first[name] for name in same} == {name: again[name] for name in same}


async def test_an_error_is_marked_in_the_text_that_was_sent(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    first = await submit(worker, database, problem.problem_id, "SELECT countri FROM members")
    moved = await submit(worker, database, problem.problem_id, "SELECT\n  countri\nFROM members")
    assert first["error"]["position"]["line"] == 1
    assert moved["error"]["position"]["line"] == 2
    assert await database.pool.fetchval("SELECT count(*) FROM verdicts WHERE superseded_at IS NULL") == 1


async def test_a_delivery_repeated_after_its_ack_was_lost_grades_once(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    job = job_requested("grading", {"problem_id": problem.problem_id, "sql": WRONG}, user_id="mina")
    for attempt in (1, 2, 3):
        assert await worker.dispatch(delivery_of(job, attempt)) == "ack"
    assert len(await emitted(database, SubmissionGraded)) == 1
    assert len(await emitted(database, JobSucceeded)) == 1
    assert await database.pool.fetchval("SELECT count(*) FROM submissions") == 1
    assert await database.pool.fetchval("SELECT made FROM attempts") == 1


async def test_a_worker_that_died_while_judging_leaves_one_submission(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    job = job_requested("grading", {"problem_id": problem.problem_id, "sql": WRONG}, user_id="mina")
    running = asyncio.create_task(worker.dispatch(delivery_of(job)))
    async with asyncio.timeout(20):
        while not await database.pool.fetchval("SELECT count(*) FROM submissions"):  # noqa: ASYNC110 - the job's doing
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.dispatch(delivery_of(job, 2))
    [message] = await emitted(database, SubmissionGraded)
    assert message.attempt == 1
    assert await database.pool.fetchval("SELECT count(*) FROM submissions") == 1


async def test_an_unknown_problem_is_awaited_for_a_while(worker: Worker, database: Database, publish: Publish) -> None:
    problem_id = str(uuid.uuid4())
    job = job_requested("grading", {"problem_id": problem_id, "sql": RIGHT})
    assert await worker.dispatch(delivery_of(job)) == "nack"
    await publish(problem_id=problem_id)
    assert await worker.dispatch(delivery_of(job, 2)) == "ack"
    assert len(await emitted(database, JobSucceeded)) == 1


async def test_a_problem_that_never_comes_fails_the_job_by_name(worker: Worker, database: Database) -> None:
    problem_id = str(uuid.uuid4())
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    job = job_requested("grading", {"problem_id": problem_id, "sql": RIGHT}, requested_at=long_ago)
    assert await worker.dispatch(delivery_of(job)) == "ack"
    [failed] = await emitted(database, JobFailed)
    assert failed.error_code == "unknown_problem"
    assert failed.error_message == f"problem_id: there is no problem {problem_id}"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("SELECT 1", "query"),
        ("{", "query"),
        ("[]", "query"),
        ({"sql": "SELECT 1"}, "problem_id"),
        ({"problem_id": "7", "sql": "SELECT 1"}, "problem_id"),
        ({"problem_id": str(uuid.uuid4())}, "sql"),
        ({"problem_id": str(uuid.uuid4()), "sql": "  \n"}, "sql"),
        ({"problem_id": str(uuid.uuid4()), "sql": 5}, "sql"),
        ({"problem_id": str(uuid.uuid4()), "sql": "SELECT '\ud800'"}, "sql"),
        ({"problem_id": str(uuid.uuid4()), "sql": "SELECT '\x00'"}, "sql"),
        ({"problem_id": str(uuid.uuid4()), "sql": "x" * 20_001}, "sql"),
        ({"problem_id": str(uuid.uuid4()), "sql": "SELECT 1", "dialect": "oracle"}, "dialect"),
        ({"problem_id": str(uuid.uuid4()), "sql": "SELECT 1", "user": "somebody else"}, "user"),
        ({"problem_id": str(uuid.uuid4()), "sql": "SELECT 1", "answer": "x"}, "answer"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(
    worker: Worker, database: Database, query: str | dict[str, Any], field: str
) -> None:
    text = query if isinstance(query, str) else json.dumps(query)
    assert await worker.dispatch(delivery_of(job_requested("grading", text, user_id="mina"))) == "ack"
    [failed] = await emitted(database, JobFailed)
    assert failed.error_message.startswith(f"{field}: ")
    assert (failed.error_code, failed.retryable) == ("invalid_request", False)


async def test_the_reference_never_leaves_the_service(
    worker: Worker, database: Database, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    """Right, wrong, lucky, failing, refused and unjudgeable answers, and a reference that is broken itself."""
    caplog.set_level(logging.DEBUG)
    problem = await publish()
    broken = await publish(reference_sql="SELECT qm.nothing FROM members AS qm LEFT JOIN nowhere AS qo")
    unparsable = await publish(reference_sql="SELEC qm.nothing FROM FROM qo.x LEFT JOIN")
    lucky = LUCKY.replace("LEFT JOIN", "left join").replace("qm", "a").replace("qo", "b")
    for sql in (RIGHT, WRONG, lucky, "SELECT nothing", "DROP TABLE members", "SELEC"):
        await worker.dispatch(delivery_of(job_requested("grading", {"problem_id": problem.problem_id, "sql": sql})))
    for other in (broken, unparsable):
        job = job_requested("grading", {"problem_id": other.problem_id, "sql": WRONG})
        await worker.dispatch(delivery_of(job))
    assert len(await emitted(database, JobSucceeded)) == 6
    assert len(await emitted(database, JobFailed)) == 2
    said = [
        message.to_bytes().decode()
        for kind in (JobSucceeded, JobFailed, JobProgressed, SubmissionGraded, AlertRaised)
        for message in await emitted(database, kind)  # type: ignore[type-var]
    ]
    rows = await database.fetch("SELECT outcome FROM job_runs")
    said += [str(row["outcome"]) for row in rows]
    said += [f"{record.getMessage()} {record.exc_text} {record.__dict__}" for record in caplog.records]
    assert [(secret, text) for text in said for secret in SECRETS if secret in text] == []
    failures = [failed.error_code for failed in await emitted(database, JobFailed)]
    assert failures == ["broken_problem", "broken_problem"]


async def test_a_newer_copy_of_a_problem_replaces_the_older_whatever_comes_first(
    database: Database, publish: Publish
) -> None:
    problem = await publish(small=[{"members": []}])
    earlier = problem.published_at - timedelta(hours=1)
    await publish(problem_id=problem.problem_id, published_at=earlier, difficulty="expert")
    kept = await PostgresProblems(database).find(uuid.UUID(problem.problem_id))
    assert kept is not None
    assert (kept.difficulty, len(kept.datasets)) == ("medium", 2)
    await publish(problem_id=problem.problem_id, difficulty="hard")
    kept = await PostgresProblems(database).find(uuid.UUID(problem.problem_id))
    assert kept is not None
    assert (kept.difficulty, len(kept.datasets)) == ("hard", 1)


async def test_rejudging_says_what_changed_and_keeps_the_history(
    worker: Worker, database: Database, publish: Publish, judge: SandboxJudge
) -> None:
    problem = await publish()
    problem_id = uuid.UUID(problem.problem_id)
    for user in ("mina", "joon"):
        await submit(worker, database, problem.problem_id, WRONG, user_id=user)
    await submit(worker, database, problem.problem_id, RIGHT, user_id="mina")
    await publish(problem_id=problem.problem_id, reference_sql="SELECT country, count(*) FROM members GROUP BY country")
    submissions = PostgresSubmissions(database)
    judged = [answer async for answer in rejudge(problem_id, PostgresProblems(database), submissions, judge)]
    changes = {
        answer.sql: (answer.before.verdict, answer.after.verdict, answer.submissions)
        for answer in judged
        if answer.before and answer.after
    }
    assert changes == {WRONG: ("wrong", "correct", 2), RIGHT: ("correct", "wrong", 1)}
    rows = await database.fetch(
        "SELECT user_id, verdict, supersedes FROM submissions JOIN verdicts ON verdicts.id = verdict_id"
    )
    assert sorted((row["user_id"], row["verdict"]) for row in rows) == [
        ("joon", "correct"),
        ("mina", "correct"),
        ("mina", "wrong"),
    ]
    assert all(row["supersedes"] for row in rows)
    assert await database.pool.fetchval("SELECT count(*) FROM verdicts WHERE superseded_at IS NOT NULL") == 2


async def test_rejudging_an_unknown_problem_says_so(database: Database, judge: SandboxJudge) -> None:
    submissions = PostgresSubmissions(database)
    with pytest.raises(PermanentError, match="there is no problem"):
        async for _ in rejudge(uuid.uuid4(), PostgresProblems(database), submissions, judge):
            pass
