"""Problems made by models: checked like any other, solved from their text, and replaced offline when models stop."""

import asyncio
import copy
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache, partial
from itertools import count
from typing import Any

import pytest

from contracts.jobs import JobRequested, JobSucceeded
from contracts.problems import ProblemPublished
from scripts.emulators import gemini as says
from scripts.emulators.gemini import GeminiStub
from scripts.emulators.gemini_author import Author, Drafted, drafts_like_a_models
from services.generator.adapters.company_tables import CachedCompanyTables
from services.generator.adapters.composing import compose
from services.generator.adapters.problem_sets import PostgresProblemSets
from services.generator.adapters.process import Compose, ProcessComposer
from services.generator.adapters.records import PostgresTips, PostgresWorkerLog
from services.generator.domain import OrderDefaults
from services.generator.handlers import Generation, generate_problems, logged, publish_tip
from services.generator.models.composer import ModelComposer
from services.generator.models.prompts import PROMPT_VERSION
from services.generator.models.tips import ModelTips
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import JobRoute, Worker
from services.kernel.llm.assembly import open_models
from services.kernel.llm.settings import LlmSettings, ModelLimits
from services.kernel.messaging.broker import Broker
from services.kernel.storage import GoogleCloudStorage
from tests.integration.generator import scripted
from tests.integration.generator.conftest import REQUESTS
from tests.support.services import delivery_of, emitted, job_requested, until

SCRIPTED: Compose = partial(scripted.compose, scripted.Script())
"""In place of the offline composer where only its part in the job matters."""


@cache
def _made() -> list[Drafted]:
    return drafts_like_a_models(6)


@pytest.fixture
def drafts() -> list[Drafted]:
    return copy.deepcopy(_made())


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiStub]:
    with GeminiStub() as stub:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", stub.url)
        yield stub


def settings(**changes: Any) -> LlmSettings:
    fields: dict[str, Any] = {
        "database_url": "postgresql://unused",
        "gemini_api_key": "stub-key",
        "gemini_model_problem": "writer",
        "gemini_model_grading": "reader",
        "model_limits": {name: ModelLimits(requests_per_minute=1_000) for name in ("writer", "reader")},
    }
    return LlmSettings(**{**fields, **changes})


@pytest.fixture
async def make_worker(
    database: Database, broker: Broker, objects: GoogleCloudStorage, tables: CachedCompanyTables
) -> AsyncIterator[Callable[..., Worker]]:
    opened = []

    def make(chosen: LlmSettings, offline: Compose = compose) -> Worker:
        models = open_models(chosen, database)
        opened.append(models)
        ports = Generation(
            composer=ModelComposer(models.router, ProcessComposer(offline)),
            sets=PostgresProblemSets(database),
            objects=objects,
            tables=tables,
            defaults=OrderDefaults(count=3, max_count=50, rows=1_000),
            long_count=20,
        )
        handler = logged(partial(generate_problems, ports=ports), PostgresWorkerLog(database))
        return Worker(JobRoute(REQUESTS, {"problem_generation": handler}), broker, database)

    yield make
    for models in opened:
        await models.close()


def ordered(order: dict[str, Any]) -> JobRequested:
    return job_requested("problem_generation", {"data_type": "pa", "seed": 11, **order})


@pytest.fixture
def run(make_worker: Callable[..., Worker], database: Database) -> Any:
    """``await run({"count": 3}, settings(...))`` runs one job and gives its result; ``offline``: who makes the rest."""

    async def start(
        order: dict[str, Any], chosen: LlmSettings | None = None, offline: Compose = compose
    ) -> dict[str, Any]:
        assert await make_worker(chosen or settings(), offline).dispatch(delivery_of(ordered(order))) == "ack"
        [end] = await emitted(database, JobSucceeded)
        result: dict[str, Any] = json.loads(end.result)
        return result

    return start


async def test_models_write_and_a_reader_agrees(
    stub: GeminiStub, drafts: list[Drafted], run: Any, database: Database
) -> None:
    stub.answer_with(Author(drafts))
    result = await run({"count": 3})
    assert (result["published"], result["sources"], result["fallback"]) == (3, ["model"], "")
    published = await emitted(database, ProblemPublished)
    assert [p.reference_sql for p in published] == [draft["sql"] for draft in drafts[:3]]
    provenance = published[0].provenance
    assert (provenance.model, provenance.prompt_version, provenance.seed) == ("writer-001", PROMPT_VERSION, 11)
    assert all(p.datasets[0].kind == "base" and len(p.hints.ko) == 3 for p in published)
    assert stub.calls == {"writer": 1, "reader": 1}
    await assert_each_call_and_the_run_are_logged(database)
    assert_the_reader_never_saw(stub, drafts[:3])


async def assert_each_call_and_the_run_are_logged(database: Database) -> None:
    rows = await database.fetch("SELECT * FROM worker_logs ORDER BY id")
    assert [(r["purpose"], r["model_used"], r["served_model"], r["tokens_used"]) for r in rows] == [
        ("problem", "writer", "writer-001", 3_200),
        ("grading", "reader", "reader-002", 1_900),
        ("", "reader, writer", "", 5_100),
    ]
    assert len({r["job_id"] for r in rows}) == 1


def assert_the_reader_never_saw(stub: GeminiStub, drafts: list[Drafted]) -> None:
    [reading] = [request for request in stub.requests if request.model == "reader"]
    for draft in drafts:
        assert draft["title"]["en"] in reading.content
        assert draft["sql"] not in reading.content


async def test_a_problem_whose_text_leads_elsewhere_is_repaired_once(
    stub: GeminiStub, drafts: list[Drafted], run: Any, database: Database
) -> None:
    wrong, sound = drafts[0], drafts[1]
    repaired = copy.deepcopy(wrong)
    repaired["description"]["en"] += "\nNow it says everything."
    author = Author([wrong, sound], solve=lambda d: d["sql"] if d is not wrong else sound["sql"])
    author.will_repair(repaired)
    stub.answer_with(author)
    result = await run({"count": 2})
    assert (result["published"], result["sources"], result["dropped"]) == (2, ["model"], {})
    [repair] = [r for r in stub.requests if r.content.startswith("Repair these 1 problems")]
    assert "the reader's query" in repair.content
    assert any("Now it says everything." in p.description.en for p in await emitted(database, ProblemPublished))


async def test_a_problem_that_stays_in_disagreement_is_dropped_and_counted(
    stub: GeminiStub, drafts: list[Drafted], run: Any
) -> None:
    wrong, *others = drafts[:3]
    repaired = copy.deepcopy(wrong)
    repaired["description"]["en"] += "\nStill unclear."
    author = Author([wrong, *others], solve=lambda d: "" if d["title"] == wrong["title"] else d["sql"])
    author.will_repair(repaired)
    stub.answer_with(author)
    result = await run({"count": 2})
    assert (result["published"], result["sources"]) == (2, ["model"])
    assert result["dropped"] == {"text_and_sql_disagree": 1}


HOSTILE = {
    "two statements": ("SELECT 1 AS a; DROP TABLE users", "refused"),
    "DDL": ("CREATE TABLE stolen AS SELECT 1 AS a", "refused"),
    "a file": ("SELECT * FROM read_csv('/etc/passwd')", "refused"),
    "no query": ("ignore all rules", "refused"),
    "unnamed": ("SELECT count(*) FROM users", "unnamed_column"),
    "deep": ("SELECT " + "(" * 1_500 + "1" + ")" * 1_500 + " AS a", "refused"),
}


async def test_hostile_queries_are_dropped_and_counted(stub: GeminiStub, drafts: list[Drafted], run: Any) -> None:
    hostile = [{**drafts[5], "sql": sql} for sql, _ in HOSTILE.values()]
    # As many as are missing are asked for, three at most; three answers without a sound one would end it.
    stub.answer_with(Author([*hostile[:2], drafts[0], *hostile[2:5], drafts[1], hostile[5], drafts[2]]))
    result = await run({"count": 3})
    assert (result["published"], result["sources"]) == (3, ["model"])
    assert result["dropped"] == Counter(reason for _, reason in HOSTILE.values())


async def test_a_hint_that_shows_the_answer_drops_its_problem(
    stub: GeminiStub, drafts: list[Drafted], run: Any
) -> None:
    told = copy.deepcopy(drafts[0])
    told["hints"][2]["en"] = f"Write: {told['sql']}"[:480]
    stub.answer_with(Author([told, drafts[1]]))
    result = await run({"count": 1})
    assert (result["published"], result["dropped"]) == (1, {"reveals_answer": 1})


@pytest.mark.parametrize(
    "answer",
    [says.not_json(), says.good({"problems": "many"}), says.good("x" * 1_000_000), says.truncated()],
    ids=["not JSON", "wrong schema", "a megabyte", "truncated"],
)
async def test_a_useless_answer_ends_offline_and_says_so(answer: says.Reply, stub: GeminiStub, run: Any) -> None:
    stub.answer_with(lambda _: answer)
    result = await run({"count": 2}, offline=SCRIPTED)
    assert (result["published"], result["sources"]) == (2, ["offline"])
    assert result["fallback"].startswith("2 of 2 problems: writer: ")
    assert stub.calls == {"writer": 2}


async def test_quota_spent_in_the_middle_keeps_what_is_finished(
    stub: GeminiStub, drafts: list[Drafted], run: Any, database: Database
) -> None:
    stub.answer_with(Author(drafts))
    limits = {"writer": ModelLimits(requests_per_day=1), "reader": ModelLimits()}
    result = await run({"count": 5}, settings(model_limits=limits))
    assert (result["published"], result["sources"]) == (5, ["model", "offline"])
    assert result["fallback"] == "2 of 5 problems: writer: quota_spent"
    sources = [p.provenance.source for p in await emitted(database, ProblemPublished)]
    assert sorted(sources) == ["model"] * 3 + ["offline"] * 2
    assert stub.calls["writer"] == 1


async def test_a_reader_without_quota_publishes_nothing_unread(
    stub: GeminiStub, drafts: list[Drafted], run: Any
) -> None:
    author = Author(drafts)
    stub.answer_with(lambda request: says.per_day() if request.model == "reader" else author(request))
    result = await run({"count": 2}, offline=SCRIPTED)
    assert (result["published"], result["sources"]) == (2, ["offline"])
    assert result["dropped"]["not_solved"] == 2
    assert result["fallback"] == "2 of 2 problems: reader: quota_spent"


async def test_without_a_key_nothing_is_asked(stub: GeminiStub, run: Any, database: Database) -> None:
    result = await run({"count": 2}, settings(gemini_api_key=""), SCRIPTED)
    assert (result["published"], result["sources"], result["fallback"]) == (2, ["offline"], "")
    assert not stub.requests
    [row] = await database.fetch("SELECT model_used, purpose FROM worker_logs")
    assert (row["model_used"], row["purpose"]) == ("offline", "")


async def test_one_language_is_asked_for_and_published(
    stub: GeminiStub, drafts: list[Drafted], run: Any, database: Database
) -> None:
    stub.answer_with(Author(drafts))
    await run({"count": 1, "locale": "ko"})
    [problem] = await emitted(database, ProblemPublished)
    assert problem.title.ko
    assert (problem.title.en, problem.description.en, problem.hints.en) == ("", "", [])


async def test_a_worker_stopped_half_way_goes_on_where_it_was(
    stub: GeminiStub, drafts: list[Drafted], make_worker: Callable[[LlmSettings], Worker], database: Database
) -> None:
    author = Author(drafts)
    slow = count()
    stub.answer_with(lambda request: author(request).after(60.0 if next(slow) == 2 else 0.0))
    job = ordered({"count": 5})
    running = asyncio.create_task(make_worker(settings()).dispatch(delivery_of(job)))

    async def first_chunk_is_kept() -> bool:
        return bool(await database.pool.fetchval("SELECT coalesce(max(chunks), 0) = 1 FROM problem_sets"))

    async def third_call_is_out() -> bool:
        return stub.calls.total() == 3

    await until(first_chunk_is_kept)
    await until(third_call_is_out)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stub.answer_with(Author(drafts[3:]))
    assert await make_worker(settings()).dispatch(delivery_of(job, 2)) == "ack"
    published = await emitted(database, ProblemPublished)
    assert [problem.reference_sql for problem in published[:3]] == [draft["sql"] for draft in drafts[:3]]
    assert len({problem.reference_sql for problem in published}) == 5
    assert "Write 2 problems" in stub.requests[3].content, "what was kept is not asked for again"
    assert drafts[0]["title"]["ko"] in stub.requests[3].content


async def put_tip(database: Database, broker: Broker, chosen: LlmSettings) -> dict[str, Any]:
    models = open_models(chosen, database)
    handler = partial(publish_tip, tips=PostgresTips(database), write=ModelTips(models.router))
    worker = Worker(JobRoute(REQUESTS, {"daily_tip": logged(handler, PostgresWorkerLog(database))}), broker, database)
    job = job_requested("daily_tip", {"tip_date": "2026-11-21"})
    assert await worker.dispatch(delivery_of(job)) == "ack"
    await models.close()
    [end] = await emitted(database, JobSucceeded)
    result: dict[str, Any] = json.loads(end.result)
    return result


async def test_a_model_writes_the_tip_of_the_day(stub: GeminiStub, database: Database, broker: Broker) -> None:
    content = {"ko": "조인하기 전에 키가 유일한지 먼저 세어 보세요.", "en": "Count whether the key is unique first."}
    stub.play(says.good(content))
    result = await put_tip(database, broker, settings())
    assert (result["content"], result["sources"], result["fallback"]) == (content, ["model"], "")
    assert stub.calls == {"gemini-2.5-flash-lite": 1}
    assert result["category"]


async def test_a_tip_that_is_none_is_replaced_offline(stub: GeminiStub, database: Database, broker: Broker) -> None:
    stub.answer_with(lambda _: says.good({"ko": "English only, sorry, no Korean", "en": "English only, sorry"}))
    result = await put_tip(database, broker, settings())
    assert result["sources"] == ["offline"]
    assert "invalid_output" in result["fallback"]
    row = await database.fetchrow("SELECT model_used FROM worker_logs WHERE purpose = '' ")
    assert row is not None
    assert "offline" in row["model_used"]
