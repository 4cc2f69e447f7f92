"""Problems made offline: true, telling, told apart, for schemas nobody has seen."""

import json
from collections.abc import Generator, Iterable
from functools import cache, partial
from itertools import islice

import duckdb
import pytest

from services.generator.datasets import build, profile_dataset
from services.generator.offline.concepts import CONCEPTS
from services.generator.offline.draft import Level
from services.generator.offline.generate import GenerationRequest, InvalidRequest, generate, normalised
from services.generator.offline.problem import Problem, lucky_answer, wrong_answer
from services.generator.verify.check import Candidate, MutantScore, Rejected, Verified
from services.generator.verify.verifiers import InProcessVerifier, SandboxVerifier
from services.kernel.sql.compare import ComparisonPolicy, compare
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import Schema
from tests.unit.generator import schemas

UNSEEN = {
    "library": schemas.LIBRARY,
    "fleet": schemas.FLEET,
    "clinic": schemas.CLINIC_KO,
    "reserved": schemas.RESERVED,
    "no_keys": schemas.NO_KEYS,
}


class Accepting:
    """Publishes whatever is composed, for what is decided before a candidate is verified."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "Accepting":
        return self

    def __exit__(self, *_: object) -> None: ...

    def outcomes(self, candidates: Iterable[Candidate]) -> Generator[Verified | Rejected, None, None]:
        for candidate in candidates:
            answer = ResultSet(("n",), ("INTEGER",), ((candidate.seed,),))
            yield Verified(answer, (), MutantScore(1, 1, 0, ()))


def made(request: GenerationRequest) -> list[Problem]:
    result = generate(request, verifier=InProcessVerifier)
    assert result.shortfall == ""
    assert result.candidates == len(result.problems) + sum(result.dropped.values())
    return result.problems


@cache
def schema_of(ddl: tuple[str, ...]) -> Schema:
    return Schema.from_ddl(ddl)


def loaded(problem: Problem, position: int) -> duckdb.DuckDBPyConnection:
    """A database from what a reader of the written line has: its DDL and its rows as JSON."""
    line = json.loads(json.dumps(problem.to_json(), ensure_ascii=False))
    schema = schema_of(tuple(line["ddl"]))
    connection = duckdb.connect()
    Dataset.from_json(line["datasets"][position], schema).load(connection, schema)
    return connection


def assert_sound(problems: list[Problem]) -> None:
    """Everything the texts of one batch promise, seen from outside: constraints, answers, hints, texts, mutants."""
    with loaded(problems[0], 0) as base:
        for problem in problems:
            assert problem.base is problems[0].base
            assert_answered(problem, ResultSet.fetch(base, problem.reference_sql))
    for problem in problems:
        assert len(problem.datasets) >= 2
        for position in range(1, len(problem.datasets)):
            loaded(problem, position).close()
        assert problem.mutants.kill_rate >= 0.95
        assert set(problem.tags) <= set(CONCEPTS)
        assert_told(problem)


def assert_answered(problem: Problem, answer: ResultSet) -> None:
    found = answer.to_json()
    assert found["columns"] == problem.expected_answer["columns"]
    if problem.ordered:
        assert found["rows"] == problem.expected_answer["rows"]
    assert sorted(map(str, found["rows"])) == sorted(map(str, problem.expected_answer["rows"]))


def assert_told(problem: Problem) -> None:
    for language in ("ko", "en"):
        description = getattr(problem.description, language)
        assert all(f"`{column}`" in description for column in problem.expected_answer["columns"])
        assert getattr(problem.title, language)
        for hint in problem.hints:
            text = getattr(hint, language)
            assert 10 < len(text) < 400
            assert problem.reference_sql not in text
            assert "SELECT " not in text.replace("SELECT에", "").replace("SELECT와", "") or "FROM" not in text
    assert not any(both in problem.description.ko for both in ("(는)", "(가)", "(를)"))


@pytest.mark.parametrize("name", UNSEEN)
def test_unseen_schemas_get_sound_problems(name: str) -> None:
    problems = made(GenerationRequest(name, 5, seed=21, schema=UNSEEN[name], rows=400))
    assert_sound(problems)
    assert len({normalised(p.reference_sql) for p in problems}) == 5


@pytest.mark.parametrize("data_type", ["pa", "stream"])
def test_shipped_data_types_cover_levels_and_concepts(data_type: str) -> None:
    problems = made(GenerationRequest(data_type, 10, seed=3))
    assert {p.difficulty for p in problems} == {level.value for level in Level}
    assert len({tag for p in problems for tag in p.tags}) >= 25
    assert len({json.dumps(p.expected_answer["rows"]) for p in problems}) == 10
    assert_sound(problems)
    assert_lucky_answers_pass_the_base_data_only(problems)


def test_many_problems_repeat_neither_a_query_nor_a_title() -> None:
    result = generate(GenerationRequest("pa", 150, seed=2), verifier=Accepting)
    assert (len(result.problems), result.shortfall) == (150, "")
    assert len({normalised(p.reference_sql) for p in result.problems}) == 150
    assert len({p.title for p in result.problems}) == 150


def test_wide_table_keeps_its_rows_few() -> None:
    problems = made(GenerationRequest("wide", 1, seed=5, schema=schemas.WIDE))
    assert problems[0].base.row_count <= 60
    assert_sound(problems)


def test_same_request_same_problems_wherever_they_are_verified() -> None:
    request = GenerationRequest("pa", 3, seed=33)
    inside = generate(request, verifier=InProcessVerifier)
    sandboxed = generate(request, verifier=partial(SandboxVerifier, workers=2))
    assert [p.to_json() for p in inside.problems] == [p.to_json() for p in sandboxed.problems]
    assert inside.dropped == sandboxed.dropped
    other = generate(GenerationRequest("pa", 3, seed=34), verifier=Accepting)
    assert not {p.reference_sql for p in other.problems} & {p.reference_sql for p in inside.problems}


def test_known_queries_are_not_repeated() -> None:
    first = generate(GenerationRequest("stream", 20, seed=8), verifier=Accepting)
    known = frozenset(normalised(p.reference_sql) for p in first.problems)
    again = generate(GenerationRequest("stream", 20, seed=8, known_sql=known), verifier=Accepting)
    assert again.dropped["duplicate_sql"] > 0
    assert not known & {normalised(p.reference_sql) for p in again.problems}


def assert_lucky_answers_pass_the_base_data_only(problems: list[Problem]) -> None:
    # Where order counts, a mutant may be told by the order in which one engine happened to return its ties.
    lucky = ((p, sql) for p in problems if not p.ordered and (sql := lucky_answer(p)) is not None)
    found = list(islice(lucky, 2))
    assert found
    for problem, sql in found:
        assert agrees(problem, sql, 0)
        assert not all(agrees(problem, sql, position) for position in range(1, len(problem.datasets)))
    assert not agrees(problems[0], wrong_answer(problems[0]), 0)


def agrees(problem: Problem, sql: str, position: int) -> bool:
    with loaded(problem, position) as connection:
        expected, actual = ResultSet.fetch(connection, problem.reference_sql), ResultSet.fetch(connection, sql)
    return compare(expected, actual, ComparisonPolicy(ordered=problem.ordered)) is None


def test_topics_mix_and_locale_are_kept() -> None:
    request = GenerationRequest("pa", 3, seed=6, topics=("windows",), mix={Level.HARD: 1.0}, locale="ko")
    problems = generate(request, verifier=Accepting).problems
    assert len(problems) == 3
    for problem in problems:
        assert problem.difficulty == "hard"
        assert any(CONCEPTS[tag].category == "windows" for tag in problem.tags)
        assert problem.title.ko
        assert problem.title.en == problem.description.en == ""


def test_progress_is_told_and_can_end_the_work() -> None:
    class Stop(Exception):
        pass

    seen: list[tuple[int, int]] = []

    def on_progress(done: int, wanted: int) -> None:
        seen.append((done, wanted))
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        generate(GenerationRequest("pa", 5, seed=1), on_progress, Accepting)
    assert seen == [(1, 5), (2, 5)]


def test_nothing_to_ask_about_is_said() -> None:
    schema, source = build("pa", 1)
    empty = {
        table: {name: column.__class__(0, 0, 0, (), ()) for name, column in columns.items()}
        for table, columns in profile_dataset(schema, source).items()
    }
    result = generate(GenerationRequest("empty", 3, 1, schema=schema, profile=empty), verifier=InProcessVerifier)
    assert result.problems == []
    assert "3 of 3 problems could not be made" in result.shortfall


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count"),
        ({"rows": 0}, "rows"),
        ({"locale": "fr"}, "locale"),
        ({"topics": ("magic",)}, "unknown topics: magic"),
        ({"mix": {}}, "mix"),
        ({"schema": Schema(())}, "no tables"),
    ],
)
def test_bad_requests_name_the_field(change: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"data_type": "pa", "count": 1, "seed": 1, **change}
    with pytest.raises(InvalidRequest, match=message):
        generate(GenerationRequest(**fields), verifier=InProcessVerifier)  # type: ignore[arg-type]
