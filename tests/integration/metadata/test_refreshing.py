"""Tables in bqemulator become objects in the cache, and only what changed is touched again."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from google.cloud.bigquery import SchemaField, Table, TimePartitioning

from contracts.metadata import MetadataRefreshed
from services.kernel.metadata_cache import MetadataCache, Questions
from services.metadata.adapters.bigquery import BigQueryWarehouse
from services.metadata.domain.examples import Proposal
from services.metadata.domain.tables import Described, Scope, TableId
from services.metadata.ports import TableGone, WriteRequest
from services.metadata.reconcile import Wish
from services.metadata.tally import counting
from tests.integration.metadata.conftest import DATASET, Workshop, silent
from tests.support.services import UNCLOSED, emitted

pytestmark = pytest.mark.filterwarnings(UNCLOSED)

ORDERS = [
    SchemaField("id", "INTEGER", "REQUIRED", description="주문 번호"),
    SchemaField(
        "buyer",
        "RECORD",
        fields=[SchemaField("email", "STRING", description="mail"), SchemaField("city", "STRING")],
    ),
    SchemaField("items", "RECORD", "REPEATED", fields=[SchemaField("sku", "STRING"), SchemaField("qty", "INTEGER")]),
    SchemaField("ordered_at", "TIMESTAMP"),
    SchemaField("day", "DATE"),
    SchemaField("amount", "FLOAT"),
]
ROWS: list[dict[str, Any]] = [
    {
        "id": number,
        "buyer": {"email": f"kim{number}@example.com", "city": "서울" if number % 2 else None},
        "items": [{"sku": "a", "qty": number}],
        "ordered_at": f"2026-01-0{number}T00:00:00Z",
        "day": f"2026-01-0{number}",
        "amount": 1.5 * number,
    }
    for number in range(1, 6)
]


def orders(workshop: Workshop) -> None:
    workshop.create(
        "orders",
        ORDERS,
        ROWS,
        description="모든 주문",
        time_partitioning=TimePartitioning(field="day"),
        clustering_fields=["id"],
    )


def pair(sql: str, question: str = "How many?", difficulty: Any = "easy") -> Proposal:
    return Proposal(Questions(ko=f"{question} 몇 개인가요?", en=question), sql, difficulty)


async def test_the_object_has_the_promised_shape(workshop: Workshop) -> None:
    orders(workshop)
    report = await workshop.refresh()
    assert (report.changes, report.failed) == ({"created": 1}, 0)
    bucket = workshop.objects.open().bucket(workshop.objects.bucket)
    blob = bucket.get_blob(f"{workshop.project}/shop/orders.json")
    text = blob.download_as_bytes().decode()
    assert "주문 번호" in text, "not ASCII-escaped"
    document = json.loads(text)
    assert {"generated_at", "schema", "examples"} <= set(document)
    assert document["schema"]["table_id"] == str(workshop.table("orders"))
    assert [c["name"] for c in document["schema"]["columns"]] == [field.name for field in ORDERS]
    first = document["schema"]["columns"][0]
    assert {key: first[key] for key in ("name", "type", "mode", "description")} == {
        "name": "id",
        "type": "INTEGER",
        "mode": "REQUIRED",
        "description": "주문 번호",
    }
    assert all({"question", "sql"} <= set(example) for example in document["examples"])
    assert len(document["examples"]) == 5
    assert blob.metadata == {
        "generated_at": document["generated_at"].replace("Z", "+00:00"),
        "schema_table": str(workshop.table("orders")),
        "examples_count": "5",
    }


async def test_nested_fields_partitions_and_profiles_are_read(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.refresh()
    cached = await workshop.cached("orders")
    assert cached is not None
    assert (cached.table.description, cached.table.clustering) == ("모든 주문", ("id",))
    assert cached.table.partitioning is not None
    assert cached.table.partitioning.column == "day"
    assert cached.row_count == 5
    paths = cached.table.paths()
    assert paths["items"].mode == "REPEATED"
    assert paths["items.qty"].type == "INTEGER"
    city, amount = paths["buyer.city"].profile, paths["amount"].profile
    assert city is not None
    assert (city.null_share, city.distinct, city.samples) == (0.4, 1, ("서울",))
    assert amount is not None
    assert (float(amount.minimum or 0), float(amount.maximum or 0)) == (1.5, 7.5)
    email = paths["buyer.email"].profile
    assert email is not None
    assert email.masked
    assert email.samples == ("xxx9@xxxxxxx.xxx",)
    assert "example.com" not in cached.model_dump_json()


async def test_every_stored_example_ran_and_has_its_score(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.refresh()
    cached = await workshop.cached("orders")
    assert cached is not None
    for example in cached.examples:
        assert (example.checks_made, example.checks_passed) == (1, 1)
        assert example.quality is not None
        assert (example.quality.runs, example.quality.non_empty) == (1.0, 1.0)
        workshop.run(example.sql)
    assert {path for example in cached.examples for path in example.columns} <= set(cached.table.paths())


async def test_what_does_not_run_is_repaired_once_and_then_dropped(workshop: Workshop) -> None:
    orders(workshop)
    table = workshop.table("orders").quoted

    def written(_: WriteRequest) -> tuple[Proposal, ...]:
        return (
            pair(f"SELECT nothing FROM {table}", "A wrong column?"),
            pair(f"SELECT missing FROM {table}", "Another one?"),
            pair(f"DELETE FROM {table} WHERE true", "A write?"),
            pair("SELECT 1 AS one FROM `other-project.shop.secrets`", "Another table?"),
        )

    workshop.writer.write_script.append(written)
    workshop.writer.repair_script.append(
        (pair(f"SELECT MAX(id) AS newest FROM {table}", "Mended?"), pair(f"SELECT gone FROM {table}", "Still wrong?"))
    )
    await workshop.refresh()
    assert [failure.proposal.sql.split()[0] for failure in workshop.writer.failures] == ["SELECT"] * 2 + [
        "DELETE",
        "SELECT",
    ]
    assert "nothing" in workshop.writer.failures[0].error
    cached = await workshop.cached("orders")
    assert cached is not None
    stored = {example.sql for example in cached.examples}
    assert f"SELECT MAX(id) AS newest FROM {table}" in stored
    assert not any(word in sql for sql in stored for word in ("nothing", "missing", "gone", "DELETE", "secrets"))
    assert len(stored) == 5, "safe examples fill what is missing"


async def test_unchanged_tables_cost_one_query_and_are_not_rewritten(workshop: Workshop) -> None:
    orders(workshop)
    workshop.create("visits", [SchemaField("id", "INTEGER")], [{"id": 1}])
    await workshop.refresh()
    before = await workshop.cache.table(workshop.table("orders"))
    with counting() as calls:
        report = await workshop.refresh()
    assert dict(calls) == {"information_schema": 1}
    assert report.changes == {"unchanged": 2}
    after = await workshop.cache.table(workshop.table("orders"))
    assert before is not None
    assert after is not None
    assert before.generation == after.generation
    assert len(await emitted(workshop.database, MetadataRefreshed)) == 2


async def test_a_changed_column_invalidates_the_examples_that_use_it_and_no_other(workshop: Workshop) -> None:
    orders(workshop)
    table = workshop.table("orders").quoted
    uses_amount = f"SELECT SUM(amount) AS total FROM {table}"
    uses_city = f"SELECT buyer.city AS city, COUNT(*) AS n FROM {table} GROUP BY city"
    uses_qty = f"SELECT SUM(i.qty) AS pieces FROM {table} AS o, UNNEST(o.items) AS i"
    counts, newest = f"SELECT COUNT(*) AS n FROM {table}", f"SELECT MAX(day) AS newest FROM {table}"
    texts = (uses_amount, uses_city, uses_qty, counts, newest)
    workshop.writer.write_script.append(lambda _: tuple(pair(sql, f"Question {n}?") for n, sql in enumerate(texts)))
    await workshop.refresh()
    workshop.run(
        f"CREATE OR REPLACE TABLE {table} (id INT64 NOT NULL, buyer STRUCT<email STRING, city STRING>, "
        "items ARRAY<STRUCT<sku STRING, quantity INT64>>, ordered_at TIMESTAMP, day DATE, amount STRING, note STRING)"
    )
    replacement = f"SELECT MIN(note) AS first_note FROM {table}"
    workshop.writer.write_script.append(lambda _: (pair(replacement, "A note?"),))
    workshop.writer.requests.clear()
    report = await workshop.refresh()
    assert report.changes == {"changed": 1}
    cached = await workshop.cached("orders")
    assert cached is not None
    stored = {example.sql: example for example in cached.examples}
    assert {counts, uses_city, newest, replacement} <= set(stored)
    assert not {uses_amount, uses_qty} & set(stored)
    assert stored[counts].checks_made == 2, "what was kept ran again"
    [request] = workshop.writer.requests
    assert (request.wanted, set(request.cover)) == (2, {"note", "items.quantity"})
    message = (await emitted(workshop.database, MetadataRefreshed))[-1]
    assert message.change == "changed"
    told = {(change.column, change.change) for change in message.column_changes}
    assert {("amount", "retyped"), ("note", "added"), ("items.qty", "renamed")} <= told
    quality = stored[replacement].quality
    assert quality is not None
    assert quality.covers_new_columns == 1.0


async def test_an_added_column_keeps_every_example(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.refresh()
    before = await workshop.cached("orders")
    table = workshop.bigquery.get_table(str(workshop.table("orders")))
    table.schema = [*table.schema, SchemaField("coupon", "STRING", description="쿠폰")]
    workshop.bigquery.update_table(table, ["schema"])
    with counting() as calls:
        await workshop.refresh()
    after = await workshop.cached("orders")
    assert before is not None
    assert after is not None
    assert {e.id for e in before.examples} == {e.id for e in after.examples}
    assert calls["model"] == 0
    [*_, message] = await emitted(workshop.database, MetadataRefreshed)
    assert [(c.column, c.change, c.after) for c in message.column_changes] == [("coupon", "added", "STRING")]


async def test_a_deleted_table_leaves_the_index_and_its_object(workshop: Workshop) -> None:
    orders(workshop)
    workshop.create("visits", [SchemaField("id", "INTEGER")])
    await workshop.refresh()
    workshop.bigquery.delete_table(str(workshop.table("visits")))
    report = await workshop.refresh()
    assert report.changes == {"deleted": 1, "unchanged": 1}
    assert list((await workshop.cache.index()).index.tables) == [str(workshop.table("orders"))]
    assert await workshop.cached("visits") is None
    assert (await emitted(workshop.database, MetadataRefreshed))[-1].change == "deleted"


async def test_a_table_that_never_was_is_a_failure_with_its_name(workshop: Workshop) -> None:
    report = await workshop.refresh(workshop.table("nowhere"))
    [(name, error)] = report.failures.items()
    assert name == str(workshop.table("nowhere"))
    assert isinstance(error, TableGone)


async def test_force_makes_everything_anew(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.refresh()
    with counting() as calls:
        report = await workshop.refresh(force=True)
    assert report.changes == {"refreshed": 1}
    assert calls["model"] == 1
    cached = await workshop.cached("orders")
    assert cached is not None
    assert all(example.checks_made == 1 for example in cached.examples)


async def test_several_data_sets_are_refreshed_in_one_run(workshop: Workshop) -> None:
    workshop.create("visits", [SchemaField("id", "INTEGER")])
    workshop.bigquery.create_dataset("hr")
    workshop.bigquery.create_table(Table(f"{workshop.project}.hr.people", schema=[SchemaField("id", "INTEGER")]))
    names = [f"{workshop.project}.{dataset}" for dataset in (DATASET, "hr")]
    wish = Wish(Scope.parse(names), time.monotonic() + 120)
    with counting() as calls:
        report = await workshop.reconciler().run(wish, silent)
    assert (report.changes, report.failures) == ({"created": 2}, {})
    assert calls["information_schema"] == 2
    assert set((await workshop.cache.index()).index.tables) == {f"{names[0]}.visits", f"{names[1]}.people"}


async def test_examples_of_a_large_table_are_dry_run_and_its_profile_is_a_sample(workshop: Workshop) -> None:
    orders(workshop)
    table = workshop.table("orders").quoted
    wrong, right = f"SELECT nothing FROM {table}", f"SELECT MAX(id) AS newest FROM {table}"
    workshop.writer.write_script.append(lambda _: (pair(wrong, "A wrong column?"), pair(right)))

    class Large(BigQueryWarehouse):
        """The emulator says of every table that it takes no space."""

        async def describe(self, table: TableId) -> Described:
            return replace(await super().describe(table), size_bytes=10**12)

    large = Large(workshop.project, emulator=True)
    with counting() as calls:
        report = await workshop.refresh(warehouse=large)
    await large.close()
    assert report.failures == {}
    assert (calls["query"], calls["dry_run"]) == (0, 6), "one wrong, one right, four safe ones"
    cached = await workshop.cached("orders")
    assert cached is not None
    assert cached.profile_note.startswith("profile of a sample of")
    stored = {example.sql: example.quality for example in cached.examples}
    assert right in stored
    assert wrong not in stored
    assert {quality.non_empty for quality in stored.values() if quality} == {0.5}, "nobody saw the rows"


async def test_empty_tables_and_views_are_kept_too(workshop: Workshop) -> None:
    orders(workshop)
    workshop.create("empty", [SchemaField("name", "STRING"), SchemaField("tags", "STRING", "REPEATED")])
    workshop.run(
        f"CREATE VIEW {workshop.table('recent').quoted} AS SELECT id, day FROM {workshop.table('orders').quoted}"
    )
    report = await workshop.refresh()
    assert (report.changes, report.failures) == ({"created": 3}, {})
    empty, view = await workshop.cached("empty"), await workshop.cached("recent")
    assert empty is not None
    assert empty.row_count == 0
    assert all(e.quality is not None and e.quality.runs == 1 for e in empty.examples)
    assert view is not None
    assert view.table.table_type == "VIEW"
    assert view.examples


async def test_the_loader_reads_what_was_written(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.refresh()
    loaded = await MetadataCache(workshop.objects).table(str(workshop.table("orders")))
    assert loaded.state == "fresh"
    assert loaded.value == await workshop.cached("orders")
    index = (await MetadataCache(workshop.objects).index()).value
    assert index.tables[str(workshop.table("orders"))].examples_count == 5
