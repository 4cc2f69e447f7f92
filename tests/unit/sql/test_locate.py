"""Where the judge puts the blame: the clause, the kind, and whether exchanging the clause proves it."""

import pytest

from services.kernel.sql.judge import JudgeRequest, judge
from services.kernel.sql.locate import Mistake
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE song (id INTEGER PRIMARY KEY, title VARCHAR NOT NULL, artist VARCHAR, plays INTEGER)",
        "CREATE TABLE liked (song_id INTEGER NOT NULL REFERENCES song(id), listener VARCHAR NOT NULL)",
    ]
)

CASES = {
    "where": (
        "SELECT title FROM song WHERE plays > 5 AND artist = 'IU'",
        "SELECT title FROM song WHERE plays > 5 AND artist = 'iu'",
        ("wrong_condition", "where", True),
    ),
    "missing condition": (
        "SELECT title FROM song WHERE plays > 5 AND artist = 'IU'",
        "SELECT title FROM song WHERE plays > 5",
        ("missing_condition", "where", True),
    ),
    "needless condition": (
        "SELECT title FROM song WHERE plays > 5",
        "SELECT title FROM song WHERE plays > 5 AND artist = 'IU'",
        ("needless_condition", "where", True),
    ),
    "null aware": (
        "SELECT title FROM song WHERE artist IS NULL",
        "SELECT title FROM song WHERE artist = ''",
        ("nulls_ignored", "where", True),
    ),
    "join type": (
        "SELECT s.title, l.listener FROM song s LEFT JOIN liked l ON l.song_id = s.id",
        "SELECT s.title, l.listener FROM song s JOIN liked l ON l.song_id = s.id",
        ("wrong_join_type", "from", True),
    ),
    "join condition": (
        "SELECT s.title FROM song s JOIN liked l ON l.song_id = s.id",
        "SELECT s.title FROM song s JOIN liked l ON l.song_id = s.plays",
        ("wrong_join_condition", "from", True),
    ),
    "grouping": (
        "SELECT count(*) FROM song GROUP BY artist",
        "SELECT count(*) FROM song GROUP BY artist, plays",
        ("wrong_grouping", "group_by", True),
    ),
    "having": (
        "SELECT artist FROM song GROUP BY artist HAVING sum(plays) >= 9",
        "SELECT artist FROM song GROUP BY artist HAVING sum(plays) > 9",
        ("boundary_off_by_one", "having", True),
    ),
    "aggregate": (
        "SELECT artist, max(plays) FROM song GROUP BY artist",
        "SELECT artist, min(plays) FROM song GROUP BY artist",
        ("wrong_aggregate", "select", True),
    ),
    "distinct count": (
        "SELECT count(DISTINCT listener) FROM liked",
        "SELECT count(listener) FROM liked",
        ("missing_distinct", "select", True),
    ),
    "limit": (
        "SELECT title FROM song ORDER BY plays DESC, id LIMIT 3",
        "SELECT title FROM song ORDER BY plays DESC, id LIMIT 2",
        ("wrong_limit", "limit", True),
    ),
    "set operation": (
        "SELECT id FROM song EXCEPT SELECT song_id FROM liked",
        "SELECT id FROM song INTERSECT SELECT song_id FROM liked",
        ("wrong_set_operation", "set_operation", False),
    ),
}


def first_mistake(reference: str, candidate: str) -> Mistake:
    verdict = judge(JudgeRequest(SCHEMA, reference, candidate, budget_ms=2500, seed=2))
    assert verdict.outcome == "different"
    return verdict.mistakes[0]


@pytest.mark.parametrize("name", CASES)
def test_the_blame_falls_on_the_clause_that_was_changed(name: str) -> None:
    reference, candidate, expected = CASES[name]

    mistake = first_mistake(reference, candidate)

    assert (mistake.kind, mistake.clause, mistake.confirmed) == expected


def test_what_a_mistake_quotes_comes_from_the_answer_never_from_the_reference() -> None:
    for reference, candidate, _ in CASES.values():
        verdict = judge(JudgeRequest(SCHEMA, reference, candidate, budget_ms=2500, seed=2))
        for mistake in verdict.mistakes:
            for key, value in mistake.parameters.items():
                assert isinstance(value, int) or key in {"condition", "tables", "joins", "functions"}
                assert "'IU'" not in str(value) or "'IU'" in candidate


def test_clauses_that_agree_earn_credit() -> None:
    near = judge(JudgeRequest(SCHEMA, CASES["where"][0], CASES["where"][1], budget_ms=2500))
    far = judge(JudgeRequest(SCHEMA, CASES["where"][0], "SELECT listener FROM liked", budget_ms=2500))

    assert near.clause_scores["select"] == 1
    assert 0 < near.clause_scores["where"] < 1
    assert far.clause_scores["from"] == 0
    assert near.score > far.score
