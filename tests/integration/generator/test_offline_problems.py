"""Problems made offline: true, telling, told apart, for schemas nobody has seen."""

import json
from functools import partial

import duckdb
import pytest

from services.generator.datasets import build, profile_dataset
from services.generator.offline.concepts import CONCEPTS
from services.generator.offline.draft import Level
from services.generator.offline.generate import GenerationRequest, InvalidRequest, generate, normalised
from services.generator.offline.problem import Problem, lucky_answer, wrong_answer
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


def made(request: GenerationRequest) -> list[Problem]:
    result = generate(request, verifier=InProcessVerifier)
    assert result.shortfall == ""
    assert result.candidates == len(result.problems) + sum(result.dropped.values())
    return result.problems


def loaded(problem: Problem, dataset: Dataset) -> duckdb.DuckDBPyConnection:
    """A database from what a reader of the written line has: its DDL and its rows as JSON."""
    line = json.loads(json.dumps(problem.to_json(), ensure_ascii=False))
    schema = Schema.from_ddl(line["ddl"])
    position = problem.datasets.index(dataset)
    connection = duckdb.connect()
    Dataset.from_json(line["datasets"][position], schema).load(connection, schema)
    return connection


def assert_sound(problem: Problem) -> None:
    """Everything the text promises, seen from outside: constraints, answer, hints, texts, mutants."""
    with loaded(problem, problem.base) as connection:
        answer = ResultSet.fetch(connection, problem.reference_sql).to_json()
    assert answer["columns"] == problem.expected_answer["columns"]
    if problem.ordered:
        assert answer["rows"] == problem.expected_answer["rows"]
    assert sorted(map(str, answer["rows"])) == sorted(map(str, problem.expected_answer["rows"]))
    for small in problem.datasets[1:]:
        loaded(problem, small).close()
    assert problem.mutants.kill_rate >= 0.95
    assert set(problem.tags) <= set(CONCEPTS)
    for language in ("ko", "en"):
        description = getattr(problem.description, language)
        assert all(f"`{column}`" in description for column in answer["columns"])
        assert getattr(problem.title, language)
        for hint in problem.hints:
            assert 10 < len(getattr(hint, language)) < 400
            assert problem.reference_sql not in getattr(hint, language)
            assert "SELECT " not in getattr(hint, language).replace("SELECT에", "").replace(
                "SELECT와", ""
            ) or "FROM" not in getattr(hint, language)
    assert "(는)" not in problem.description.ko
    assert "(가)" not in problem.description.ko
    assert "(를)" not in problem.description.ko


@pytest.mark.parametrize("name", UNSEEN)
def test_unseen_schemas_get_sound_problems(name: str) -> None:
    problems = made(GenerationRequest(name, 8, seed=21, schema=UNSEEN[name], rows=800))
    for problem in problems:
        assert_sound(problem)
    assert len({normalised(p.reference_sql) for p in problems}) == 8


@pytest.mark.parametrize("data_type", ["pa", "stream"])
def test_shipped_data_types_cover_levels_and_concepts(data_type: str) -> None:
    problems = made(GenerationRequest(data_type, 24, seed=2))
    assert {p.difficulty for p in problems} == {level.value for level in Level}
    assert len({tag for p in problems for tag in p.tags}) >= 25
    assert len({json.dumps(p.expected_answer["rows"]) for p in problems}) == 24
    assert len({p.title for p in problems}) == 24
    for problem in problems[::4]:
        assert_sound(problem)


def test_wide_table_keeps_its_rows_few() -> None:
    problems = made(GenerationRequest("wide", 2, seed=5, schema=schemas.WIDE))
    assert problems[0].base.row_count <= 60
    for problem in problems:
        assert_sound(problem)


def test_same_request_same_problems_wherever_they_are_verified() -> None:
    request = GenerationRequest("pa", 4, seed=33)
    inside = generate(request, verifier=InProcessVerifier)
    sandboxed = generate(request, verifier=partial(SandboxVerifier, workers=2))
    assert [p.to_json() for p in inside.problems] == [p.to_json() for p in sandboxed.problems]
    assert inside.dropped == sandboxed.dropped
    assert [p.reference_sql for p in made(GenerationRequest("pa", 4, seed=34))] != [
        p.reference_sql for p in inside.problems
    ]


def test_known_queries_are_not_repeated() -> None:
    first = made(GenerationRequest("stream", 3, seed=8))
    known = frozenset(normalised(p.reference_sql) for p in first)
    again = made(GenerationRequest("stream", 3, seed=8, known_sql=known))
    assert not known & {normalised(p.reference_sql) for p in again}


def test_lucky_answer_passes_the_base_data_only() -> None:
    problems = made(GenerationRequest("pa", 10, seed=4))
    lucky = [(p, sql) for p in problems if (sql := lucky_answer(p)) is not None]
    assert lucky
    for problem, sql in lucky[:3]:
        assert agrees(problem, sql, problem.base)
        assert not all(agrees(problem, sql, small) for small in problem.datasets[1:])
    assert not agrees(problems[0], wrong_answer(problems[0]), problems[0].base)


def agrees(problem: Problem, sql: str, dataset: Dataset) -> bool:
    with loaded(problem, dataset) as connection:
        expected, actual = ResultSet.fetch(connection, problem.reference_sql), ResultSet.fetch(connection, sql)
    return compare(expected, actual, ComparisonPolicy(ordered=problem.ordered)) is None


def test_topics_mix_and_locale_are_kept() -> None:
    request = GenerationRequest("pa", 3, seed=6, topics=("windows",), mix={Level.HARD: 1.0}, locale="ko")
    for problem in made(request):
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
        generate(GenerationRequest("pa", 5, seed=1), on_progress, InProcessVerifier)
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
