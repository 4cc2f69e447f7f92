"""What asking models costs besides the models: python -m scripts.bench.models [--calls 1000] [--workers 8]

Against a local stub of the Gemini API that answers at once. Prints one JSON object: overspent requests under parallel
workers, milliseconds of our own code per problem, tokens per published problem, and requests per 100 small items.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import multiprocessing
import os
import re
import statistics
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import BaseModel

from scripts.embedded.postgres import PostgresServer
from scripts.emulators.gemini import GeminiStub, Reply, Request, good

# The tests' stub and its author of drafts are the only stand-ins for the provider in this project.
from scripts.emulators.gemini_author import Author, drafts_like_a_models
from services.generator.adapters.composing import request_of
from services.generator.datasets import profile_dataset
from services.generator.domain import GenerationOrder
from services.generator.models import proving
from services.generator.models.prompts import facts_of
from services.generator.models.rounds import Rounds
from services.generator.offline.generate import prepare
from services.generator.ports import Start
from services.generator.verify.check import Candidate, Rejected, Verified
from services.kernel.database.migrations import migrate
from services.kernel.database.unit_of_work import Database
from services.kernel.llm.batching import Batcher, BatchKind
from services.kernel.llm.call_log import Caller, PostgresCallLog
from services.kernel.llm.calling import AccountedCalls
from services.kernel.llm.catalogue import Catalogue, Limits, Model, Purpose
from services.kernel.llm.gemini import GeminiClient
from services.kernel.llm.ledger import QuotaLedger
from services.kernel.llm.router import Ask, ModelRouter

DAY = {"first": 700, "second": 250}
"""Requests a day of the two models in the overspending run: fewer together than the calls."""
PROBLEMS = 12
ITEMS = 100
_ROOMY = Limits(1_000_000, 2_000_000_000, 1_000_000)
_BYTES_PER_TOKEN = 3


class Word(BaseModel):
    word: str


def measure(calls: int = 1_000, workers: int = 8) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory, _database(Path(directory)) as url, GeminiStub() as stub:
        os.environ["GOOGLE_GEMINI_BASE_URL"] = stub.url
        return {
            "quota": _overspending(url, stub, calls, workers),
            "problems": asyncio.run(_problems(url, stub)),
            "batching": asyncio.run(_batching(url, stub)),
        }


@contextmanager
def _database(directory: Path) -> Iterator[str]:
    """A migrated generator database with the durability of the embedded default, as its role sees it."""
    server = PostgresServer(directory / "pg")
    with server.lease(destroy=True):
        migrate(server.url(), "generator")
        yield server.url(user="generator")


def _router(database: Database, client: GeminiClient, *models: Model) -> ModelRouter:
    names = tuple(model.name for model in models)
    catalogue = Catalogue({model.name: model for model in models}, dict.fromkeys(Purpose, names))
    log = PostgresCallLog(database)
    return ModelRouter(catalogue, AccountedCalls(client, QuotaLedger(database), log), log)


# Parallel workers and one model's day


def _overspending(url: str, stub: GeminiStub, calls: int, workers: int) -> dict[str, Any]:
    stub.answer_with(lambda _: good({"word": "one"}))
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[dict[str, int]] = context.Queue()
    processes = [context.Process(target=_work, args=(url, calls // workers, results)) for _ in range(workers)]
    began = time.monotonic()
    for process in processes:
        process.start()
    answered: Counter[str] = Counter()
    for _ in processes:
        answered.update(results.get(timeout=300))
    for process in processes:
        process.join()
    seconds = time.monotonic() - began
    sent = stub.calls
    return {
        "calls": calls // workers * workers,
        "workers": workers,
        "limits_per_day": DAY,
        "requests_the_provider_saw": dict(sent),
        "answered_by": dict(answered),
        "overspent": sum(max(0, sent[name] - limit) for name, limit in DAY.items()),
        "unused": sum(max(0, limit - sent[name]) for name, limit in DAY.items()),
        "seconds": round(seconds, 1),
    }


def _work(url: str, calls: int, results: multiprocessing.Queue[dict[str, int]]) -> None:
    logging.disable(logging.WARNING)  # an offline answer is expected here, a hundred times
    results.put(asyncio.run(_ask_many(url, calls)))


async def _ask_many(url: str, calls: int) -> dict[str, int]:
    models = [Model(name, Limits(1_000_000, 2_000_000_000, limit)) for name, limit in DAY.items()]
    pool = await asyncpg.create_pool(url, min_size=1, max_size=4)
    client = GeminiClient("stub-key")
    router = _router(Database(pool, "bench"), client, *models)
    ask = Ask(Purpose.TIPS, "Say a word.", "Any.", Word, lambda: Word(word="offline"), max_output_tokens=100)
    turns = asyncio.Semaphore(8)

    async def one() -> str:
        async with turns:
            return (await router.ask(ask, Caller("bench"), time.monotonic() + 300)).model

    answered = Counter(await asyncio.gather(*(one() for _ in range(calls))))
    await client.close()
    await pool.close()
    return dict(answered)


# Our own time, and tokens, per problem


class _Remembered(proving.ProvingGround):
    """Gives the outcomes of an earlier run at once, so that what is left is everything but verification."""

    def __init__(self, outcomes: dict[str, Verified | Rejected], findings: dict[str, str]) -> None:
        self.outcomes, self.findings = outcomes, findings

    async def verify(self, candidate: Candidate) -> Verified | Rejected:
        return self.outcomes[candidate.sql]

    async def disagreement(self, reference: str, verified: Verified, solution: str, *, ordered: bool) -> str:
        return self.findings[reference]


class _Recording(_Remembered):
    def __init__(self, ground: proving.ProvingGround) -> None:
        super().__init__({}, {})
        self._ground = ground

    async def verify(self, candidate: Candidate) -> Verified | Rejected:
        self.outcomes[candidate.sql] = await self._ground.verify(candidate)
        return self.outcomes[candidate.sql]

    async def disagreement(self, reference: str, verified: Verified, solution: str, *, ordered: bool) -> str:
        found = await self._ground.disagreement(reference, verified, solution, ordered=ordered)
        self.findings[reference] = found
        return found


async def _problems(url: str, stub: GeminiStub) -> dict[str, Any]:
    drafts = drafts_like_a_models(PROBLEMS * 2)
    start = _start()
    request = request_of(start)
    schema, base = prepare(request)
    facts = facts_of(schema, profile_dataset(schema, base))
    pool = await asyncpg.create_pool(url, min_size=1, max_size=4)
    client = GeminiClient("stub-key")
    router = _router(Database(pool, "bench"), client, Model("writer", _ROOMY))

    dropped: Counter[str] = Counter()

    async def run(ground: proving.ProvingGround) -> tuple[float, int, int]:
        dropped.clear()
        stub.answer_with(_counting(Author(drafts)))
        rounds = Rounds(start, schema, facts, router, ground, time.monotonic() + 600)
        began, published, tokens = time.monotonic(), 0, 0
        while published < PROBLEMS:
            done = await rounds.make(min(3, PROBLEMS - published))
            if done.stopped:
                raise RuntimeError(f"the stub stopped answering: {done.stopped}, dropped {done.dropped}")
            published += len(done.problems)
            tokens += done.tokens.total
            dropped.update(done.dropped)
        return time.monotonic() - began, published, tokens

    async with proving.opened(schema, base) as ground:
        recording = _Recording(ground)
        with_verification, published, tokens = await run(recording)
    without = [await run(_Remembered(recording.outcomes, recording.findings)) for _ in range(5)]
    await client.close()
    await pool.close()
    return {
        "published": published,
        "dropped": dict(dropped),
        "overhead_ms_per_problem": round(statistics.median(r[0] for r in without) / published * 1_000, 1),
        "with_verification_ms_per_problem": round(with_verification / published * 1_000, 1),
        "tokens_per_published_problem": round(tokens / published),
        "tokens_are": f"estimated by the stub: one for every {_BYTES_PER_TOKEN} bytes of UTF-8, no thinking",
    }


def _start() -> Start:
    order = GenerationOrder(data_type="pa", count=PROBLEMS, seed=1, rows=1_000, problem_date=date(2026, 11, 21))
    return Start(order, 1, PROBLEMS, 0, (), (), uuid.uuid4(), time.monotonic() + 600)


def _counting(author: Author) -> Any:
    """``author`` with usage counted from the texts' sizes."""

    def answer(request: Request) -> Reply:
        reply = author(request)
        if reply.status != 200:
            return reply
        body = json.loads(reply.body)
        text = body["candidates"][0]["content"]["parts"][0]["text"]
        sizes = len((request.instruction + request.content + json.dumps(request.schema)).encode()), len(text.encode())
        prompt, candidates = (size // _BYTES_PER_TOKEN for size in sizes)
        body["usageMetadata"] = {"promptTokenCount": prompt, "candidatesTokenCount": candidates}
        return dataclasses.replace(reply, body=json.dumps(body).encode())

    return answer


# Small requests together


async def _batching(url: str, stub: GeminiStub) -> dict[str, Any]:
    pool = await asyncpg.create_pool(url, min_size=1, max_size=4)
    client = GeminiClient("stub-key")
    router = _router(Database(pool, "bench"), client, Model("small", _ROOMY))
    kind = BatchKind[str, Word](
        Purpose.TRIAGE, "Echo each.", lambda text: f"<{text}>", Word, lambda _: Word(word="offline"), 50
    )
    stub.answer_with(_echo)
    figures: dict[str, Any] = {"items": ITEMS}
    for name, most in (("together", 20), ("alone", 1)):
        batcher = Batcher(router, kind, most=most)
        before, began = stub.calls["small"], time.monotonic()
        texts = [f"t{n}" for n in range(ITEMS)]
        deadline = time.monotonic() + 300
        answers = await asyncio.gather(*(batcher.ask(text, Caller("bench"), deadline) for text in texts))
        if [answer.value.word for answer in answers] != texts:
            raise RuntimeError("batched answers went to the wrong items")
        seconds = round(time.monotonic() - began, 2)
        figures[name] = {"requests": stub.calls["small"] - before, "seconds": seconds}
        await batcher.close()
    await client.close()
    await pool.close()
    return figures


def _echo(request: Request) -> Reply:
    texts = re.findall(r"<(t\d+)>", request.content)
    if "answers" not in request.schema["properties"]:
        return good({"word": texts[0]})
    return good({"answers": [{"number": n, "answer": {"word": text}} for n, text in enumerate(texts, 1)]})


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what asking models costs besides the models.")
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    print(json.dumps(measure(options.calls, options.workers), indent=2))


if __name__ == "__main__":
    main()
