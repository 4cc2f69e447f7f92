"""The shipped data sets and rows for unknown schemas: reproducible, valid, skewed like people."""

from collections import Counter
from datetime import datetime

import pytest

from services.generator.datasets import DATA_TYPES, build, profile_dataset
from services.generator.datasets.synthesis import synthesize
from services.kernel.errors import PermanentError
from services.kernel.sql.schema import Schema

CLINIC = Schema.from_ddl(
    [
        "CREATE TABLE doctors (doctor_id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, specialty VARCHAR NOT NULL)",
        """CREATE TABLE visits (visit_id INTEGER PRIMARY KEY, doctor_id INTEGER REFERENCES doctors (doctor_id),
           began_at TIMESTAMP NOT NULL, ended_at TIMESTAMP, fee DECIMAL(6, 2) CHECK (fee BETWEEN 5 AND 80),
           status VARCHAR NOT NULL CHECK (status IN ('kept', 'missed')), CHECK (ended_at >= began_at))""",
        """CREATE TABLE drugs (visit_id INTEGER NOT NULL REFERENCES visits (visit_id), code VARCHAR NOT NULL,
           pieces INTEGER NOT NULL CHECK (pieces > 0), PRIMARY KEY (visit_id, code))""",
    ]
)


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_built_data_meets_every_constraint_and_is_the_same_again(data_type: str) -> None:
    schema, dataset = build(data_type, seed=4, rows=1_500)
    assert list(dataset.violations(schema)) == []
    assert build(data_type, seed=4, rows=1_500)[1].tables == dataset.tables
    assert build(data_type, seed=5, rows=1_500)[1].tables != dataset.tables
    assert abs(dataset.row_count - 1_500) < 150


@pytest.mark.parametrize("rows", [999, 1_000_001])
def test_row_counts_have_bounds(rows: int) -> None:
    with pytest.raises(PermanentError, match="between"):
        build("pa", 1, rows)


def test_unknown_data_type_names_the_known_ones() -> None:
    with pytest.raises(PermanentError, match="pa, stream"):
        build("games", 1)


def test_product_analytics_behaves_like_people() -> None:
    _, dataset = build("pa", seed=1, rows=20_000)
    events = dataset.rows("events")
    steps = Counter(event["event_type"] for event in events)
    assert steps["product_view"] > steps["add_to_cart"] > steps["checkout"] > steps["purchase"] > 0
    views = Counter(e["product_id"] for e in events if e["event_type"] == "product_view").most_common()
    assert views[0][1] > 5 * views[len(views) // 2][1]
    hours = Counter(e["occurred_at"].hour for e in events)
    assert hours[20] > 4 * hours[3]
    assert any((e["received_at"] - e["occurred_at"]).total_seconds() > 3_600 for e in events)
    seen = Counter((e["session_id"], e["event_type"], e["product_id"], e["occurred_at"]) for e in events)
    assert max(seen.values()) > 1
    assert any(e["user_id"] is None for e in events)


def test_unknown_schema_gets_rows_that_meet_keys_links_and_checks() -> None:
    dataset = synthesize(CLINIC, seed=2, rows=600)
    assert list(dataset.violations(CLINIC)) == []
    assert dataset.tables == synthesize(CLINIC, seed=2, rows=600).tables
    visits = dataset.rows("visits")
    assert len(visits) > 100
    assert {v["status"] for v in visits} == {"kept", "missed"}
    assert all(v["fee"] is None or 5 <= v["fee"] <= 80 for v in visits)
    assert all(v["ended_at"] is None or v["ended_at"] >= v["began_at"] for v in visits)
    assert all(d["pieces"] > 0 for d in dataset.rows("drugs"))
    assert any(v["doctor_id"] is None for v in visits)


def test_profile_shapes_the_rows() -> None:
    _, source = build("stream", seed=1, rows=2_000)
    schema, _ = build("stream", seed=1, rows=2_000)
    profile = profile_dataset(schema, source)
    made = synthesize(schema, seed=9, rows=2_000, profile=profile)
    assert list(made.violations(schema)) == []
    assert {p["device"] for p in made.rows("plays")} <= {value for value, _ in profile["plays"]["device"].common}
    assert all(isinstance(p["started_at"], datetime) for p in made.rows("plays"))


def test_table_known_to_be_empty_stays_empty() -> None:
    schema, source = build("pa", seed=1, rows=1_000)
    profile = profile_dataset(schema, source)
    profile["order_items"] = {
        name: column.__class__(0, 0, 0, (), ()) for name, column in profile["order_items"].items()
    }
    assert synthesize(schema, 1, 1_000, profile).rows("order_items") == []
