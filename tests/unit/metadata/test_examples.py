"""Examples: who gets in, how they are scored, what learners change, and what is safe without a model."""

from __future__ import annotations

import pytest
import sqlglot

from services.kernel.metadata_cache import Column, ColumnProfile, Example, Partitioning, Questions, TableSchema
from services.kernel.sql.guard import Refused
from services.metadata.domain.examples import Proposal, Verified, Votes, admitted, example_id, scored, select
from services.metadata.domain.offline import safe_examples
from services.metadata.domain.tables import DatasetId, Scope, TableId, Trial

TABLE_ID = "some-project.shop.orders"
SCHEMA = TableSchema(
    table_id=TABLE_ID,
    columns=(
        Column(name="user_id", type="INTEGER"),
        Column(name="email", type="STRING", profile=ColumnProfile(distinct=3, masked=True)),
        Column(name="state", type="STRING", profile=ColumnProfile(distinct=3)),
        Column(name="tags", type="STRING", mode="REPEATED"),
        Column(name="at", type="TIMESTAMP"),
        Column(name="amount", type="NUMERIC"),
    ),
)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1 AS one",
        "DROP TABLE `some-project.shop.orders`",
        "SELECT id FROM `some-project.shop.orders`; SELECT 2",
        "SELECT id FROM `some-project.shop.secrets`",
        "SELECT o.id FROM `some-project.shop.orders` AS o JOIN `some-project.hr.pay` AS p ON p.id = o.id",
        "SELECT * FROM `some-project.shop.INFORMATION_SCHEMA.TABLES`",
        "SELECT * FROM EXTERNAL_QUERY('us.pg', 'SELECT 1')",
        "CALL some_procedure()",
        "DECLARE x INT64; SELECT x",
        "INSERT INTO `some-project.shop.orders` (id) VALUES (1)",
        "EXPORT DATA OPTIONS(uri='gs://x/*') AS SELECT 1",
    ],
)
def test_only_one_reading_query_on_this_table_gets_in(sql: str) -> None:
    with pytest.raises(Refused):
        admitted(sql, SCHEMA)


def test_queries_on_the_table_get_in() -> None:
    checked = admitted(
        f"WITH o AS (SELECT state FROM `{TABLE_ID}`) SELECT state, COUNT(*) AS n FROM o GROUP BY 1", SCHEMA
    )
    assert checked.tables == {TABLE_ID}


def test_safe_examples_use_only_columns_of_the_right_type() -> None:
    texts = {p.sql: p for p in safe_examples(SCHEMA)}
    assert len(texts) == 5
    every = " ".join(texts)
    assert "DATE(`at`)" in every
    assert "`amount`" in every
    assert "`state`" in every
    assert "email" not in every, "never a column with personal data"
    assert "`user_id`" not in every, "nobody averages keys"
    for proposal in texts.values():
        assert proposal.questions.ko != proposal.questions.en
        admitted(proposal.sql, SCHEMA)


@pytest.mark.parametrize("kind", ["BYTES", "JSON", "GEOGRAPHY"])
def test_a_table_of_odd_columns_still_counts(kind: str) -> None:
    bare = TableSchema(table_id=TABLE_ID, columns=(Column(name="x", type=kind),))
    [only] = safe_examples(bare)
    assert "COUNT(*)" in only.sql


@pytest.mark.parametrize(("column", "condition"), [("day", "`day` >= DATE"), ("", "_PARTITIONTIME >=")])
def test_required_partition_filters_are_in_every_example(column: str, condition: str) -> None:
    partitioned = SCHEMA.model_copy(
        update={
            "columns": (*SCHEMA.columns, Column(name="day", type="DATE")),
            "partitioning": Partitioning(column=column, filter_required=True),
        }
    )
    for proposal in safe_examples(partitioned):
        assert proposal.sql.count(condition) == proposal.sql.count("FROM"), proposal.sql
        sqlglot.parse_one(proposal.sql, read="bigquery")


def found(sql: str, rows: int | None = 1, difficulty: str = "easy", **facts: object) -> Verified:
    example = Example(id=example_id(sql), question="?", sql=sql, difficulty=difficulty, checks_made=1, checks_passed=1)
    return Verified(example.model_copy(update=facts), Trial(True, rows))


def test_the_score_falls_with_each_of_its_parts() -> None:
    good, empty, flaky, unliked = found("a"), found("b", 0), found("c", checks_made=4), found("d")
    votes = {unliked.example.id: Votes(wrong=5)}
    spread = [
        found(item.example.sql, item.trial.rows, f"level{n}", checks_made=item.example.checks_made)
        for n, item in enumerate((good, empty, flaky, unliked))
    ]
    ranked = scored(spread, (), votes)
    scores = {e.sql: e.quality.score for e in ranked if e.quality}
    assert ranked[0].sql == "a"
    assert all(scores["a"] > scores[worse] for worse in "bcd")


def test_examples_that_cover_new_columns_and_rare_difficulties_score_higher() -> None:
    covers, misses = found("a", columns=("note",)), found("b", columns=("id",))
    ranked = scored([misses, covers], {"note"}, {})
    assert [e.sql for e in ranked] == ["a", "b"]
    ranked = scored([found("a"), found("b"), found("c", difficulty="hard")], (), {})
    assert ranked[0].sql == "c"


def test_learners_drop_and_correct_examples() -> None:
    examples = [found(name).example for name in "abcde"]
    ids = {e.sql: e.id for e in examples}
    votes = {
        ids["a"]: Votes(worked=3, wrong=1),
        ids["b"]: Votes(wrong=2),
        ids["c"]: Votes(wrong=1, corrections=("better", "older")),
        ids["d"]: Votes(unclear=6),
    }
    selection = select(examples, {ids["e"]}, votes)
    assert [e.sql for e in selection.kept] == ["a"]
    assert [p.sql for p in selection.replacements] == ["better"]
    assert set(selection.dropped) == {ids[name] for name in "bcde"}


def test_one_bad_vote_is_not_enough() -> None:
    assert not Votes().rejected
    assert not Votes(unclear=2).rejected
    assert not Votes(worked=1, wrong=1).rejected
    assert Votes(wrong=2).rejected


def test_scopes_cover_what_they_name() -> None:
    scope = Scope.parse(["some-project.shop", "some-project.hr.people"])
    assert scope.covers(TableId("some-project", "shop", "anything"))
    assert scope.covers(TableId("some-project", "hr", "people"))
    assert not scope.covers(TableId("some-project", "hr", "pay"))
    assert scope.datasets == {DatasetId("some-project", "shop")}
    for wrong in ("shop", "Some.shop", "some-project.shop.a`b", "some-project.shop.a.b", ""):
        with pytest.raises(ValueError, match="write project"):
            Scope.parse([wrong])


def test_a_proposal_is_known_by_its_sql() -> None:
    proposal = Proposal(Questions(ko="가", en="a"), "SELECT  1\nFROM t")
    assert example_id(proposal.sql) == example_id("select 1 from t")
