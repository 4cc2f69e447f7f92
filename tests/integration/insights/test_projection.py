"""The projection is a function of the set of answers: order, duplicates and rebuilding change nothing."""

import random
from datetime import timedelta

import pytest

from services.insights.adapters.projection import PostgresProjection
from services.insights.model.codec import state_from_json
from services.insights.rebuilding import rebuild_all
from services.kernel.database.unit_of_work import Database
from tests.integration.insights.conftest import BEGAN, Running, answers_of, graded, item_id, picture, published, take_in
from tests.support.services import UNCLOSED, opened, service_database

pytestmark = pytest.mark.filterwarnings(UNCLOSED)


async def test_order_and_duplicates_change_nothing(
    database: Database, projection: PostgresProjection, postgres_server: object, models: object
) -> None:
    answers = answers_of(6, 20)
    for start in range(0, len(answers), 7):
        await take_in(database, projection, answers[start : start + 7])
    in_order = await picture(database)

    with service_database(postgres_server, "insights") as url:  # type: ignore[arg-type]
        async with opened(url, "insights") as other:
            mixed = [*answers, *answers[:40]]
            random.Random(3).shuffle(mixed)
            for start in range(0, len(mixed), 11):
                await take_in(other, PostgresProjection(models, "Asia/Seoul"), mixed[start : start + 11])  # type: ignore[arg-type]
            assert await picture(other) == in_order
    assert any(row[3] != 0 for row in in_order[1])


async def test_a_rebuild_from_nothing_gives_the_same(database: Database, projection: PostgresProjection) -> None:
    await take_in(database, projection, answers_of(4, 10))
    before = await picture(database)
    await database.execute("DELETE FROM learners")
    await database.execute("UPDATE items SET gap = 99, information = 1")
    assert await rebuild_all(database, projection) == 4
    assert await picture(database) == before


async def test_a_submission_may_come_before_its_problem(insights: Running) -> None:
    await insights.publish(graded("mina", 3, True, 0))
    await insights.followed(1)
    await insights.publish(published(3), source="generator")
    older = published(3, difficulty="easy", published_at=BEGAN - timedelta(days=1))

    async def described() -> bool:
        row = await insights.database.fetchrow("SELECT published_at FROM items WHERE id = $1", item_id(3))
        return row is not None and row["published_at"] == BEGAN

    from tests.support.services import until

    await until(described)
    await insights.publish(older, source="generator")
    await insights.publish(graded("mina", 3, True, 5))
    await insights.followed(2)
    row = await insights.database.fetchrow("SELECT difficulty, skills, gap FROM items WHERE id = $1", item_id(3))
    assert row is not None
    assert (row["difficulty"], row["skills"]) == ("medium", ["join" if 3 % 6 == 1 else "window"])
    assert row["gap"] > 0


async def test_an_anonymous_answer_is_left_out(insights: Running) -> None:
    await insights.publish(graded("", 1, True, 0), graded("mina", 1, True, 1))
    await insights.followed(1)
    rows = await insights.database.fetch("SELECT id FROM learners")
    assert [row["id"] for row in rows] == ["mina"]


async def test_a_learner_with_very_many_events_and_thousands_of_skills(
    database: Database, projection: PostgresProjection
) -> None:
    """100,000 answers with 3,000 skills by bulk; the next one comes late, which computes everything anew."""
    await database.execute(
        """
        INSERT INTO interactions (id, learner, item, skills, correct, at)
        SELECT 'e' || n, 'busy', 'item-' || n % 2000, ARRAY['skill-' || n % 3000], n % 3 > 0,
               timestamptz '2026-01-01' + n * interval '1 minute'
        FROM generate_series(1, 100000) AS n
        """
    )
    await database.execute(
        "INSERT INTO learners (id, state, activity, last_at, last_position, last_id) "
        "VALUES ('busy', '{}', '{}', timestamptz '2026-12-31', 0, 'e100000')"
    )
    await take_in(database, projection, [graded("busy", 1, True, -500_000)])
    row = await database.fetchrow("SELECT state::text AS state FROM learners WHERE id = 'busy'")
    assert row is not None
    state = state_from_json(row["state"])
    assert state.answered == 100_001
    assert len(state.skills) == 3_001
