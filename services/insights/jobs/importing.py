"""History from elsewhere becomes interactions, so that an institution starts warm."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from services.insights.adapters.process import in_process
from services.insights.jobs.requests import IMPORTS, Options
from services.insights.model.interactions import read_rows
from services.insights.ports import Interaction, Projection
from services.kernel.errors import PermanentError
from services.kernel.jobs.context import JobContext, JobFailedError, JobResult
from services.kernel.storage import ObjectStore, split_uri

BATCH = 1_000
MOST_BYTES = 256 * 2**20
UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
"""When an answer without a timestamp is said to have been given: before anything the service has seen itself."""


async def import_history(
    context: JobContext, options: Options, objects: ObjectStore, projection: Projection, bucket: str
) -> JobResult:
    """Take in the file at ``options.uri``; importing it again changes nothing.

    Raises:
        JobFailedError: the file is not where imports lie, or holds a row that cannot be read (named).
        TransientError: storage or the database is out of reach; what was taken in so far stays, once.
    """
    where, name = _place(options.uri, bucket)
    await context.step("reading", 10)
    data = await objects.read(where)
    if len(data) > MOST_BYTES:
        raise JobFailedError(f"uri: a file may have at most {MOST_BYTES:,} bytes; split it", code="too_large")
    await context.step("checking", 20)
    try:
        entries = await in_process(interactions_in, data, name, options.subject)
    except PermanentError as error:
        raise JobFailedError(f"{options.uri}: {error}", code="unreadable_history") from error
    total, done = len(entries), 0
    waiting = iter(entries)
    while batch := list(islice(waiting, BATCH)):
        async with context.database.transaction() as unit:
            await projection.take_in(unit.connection, batch)
        done += len(batch)
        await context.step("taking in", 20 + 75 * done // total)
    learners = len({entry.learner for entry in entries})
    return JobResult({"task": "import", "uri": options.uri, "answers": total, "learners": learners})


def interactions_in(data: bytes, name: str, subject: str) -> list[Interaction]:
    """By learner, oldest first, so that each state is computed once. Ids follow from the content: the same row is
    the same interaction whenever it is imported.

    Raises:
        BadRow: names the row.
    """
    entries = list(_interactions(data, name, subject))
    entries.sort(key=lambda entry: (entry.learner, entry.at, entry.position))
    return entries


def _interactions(data: bytes, name: str, subject: str) -> Iterator[Interaction]:
    for row in read_rows(data, name):
        answer = row.answer
        at = datetime.fromtimestamp(answer.at, UTC) if answer.at else UNDATED + timedelta(seconds=row.seq)
        identity = f"{row.student}\x1f{row.seq}\x1f{answer.item}\x1f{answer.correct:d}\x1f{answer.at}"
        yield Interaction(
            id=f"import:{hashlib.sha256(identity.encode()).hexdigest()[:32]}",
            learner=row.student,
            item=answer.item,
            subject=subject,
            difficulty="",
            skills=answer.skills,
            correct=answer.correct,
            at=at,
            position=row.seq,
        )


def _place(uri: str, bucket: str) -> tuple[str, str]:
    """The URI and the file's name. Any other place would let a job read what its sender may not."""
    named, name = split_uri(uri)
    if named != bucket or not name.startswith(IMPORTS):
        raise JobFailedError(f"uri: put the file under gs://{bucket}/{IMPORTS}", code="wrong_place")
    return uri, name
