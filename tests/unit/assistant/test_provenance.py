"""What a result says of the rows it was read from."""

import pytest

from services.assistant.optimization.handler import explanation
from services.assistant.provenance import Provenance

SAID = {"ko": "n: 3", "en": "n: 3"}
TABLE = "shop-prod.sales.orders"
FASTER = {"rewrite": {"rewrite": "without_distinct", "before_ms": 3.0, "milliseconds": 1.0}}


@pytest.mark.parametrize("rows", [1, 2_010, None])
@pytest.mark.parametrize("data_type", ["pa", TABLE])
def test_published_rows_are_synthetic_in_both_languages(data_type: str, rows: int | None) -> None:
    data = Provenance.published(data_type, rows)
    assert data.kind == "synthetic"
    said = data.caveat(SAID)
    assert "합성 데이터" in said["ko"]
    assert "ynthetic row" in said["en"]
    assert (data_type == TABLE) == (TABLE in said["ko"]) == (TABLE in said["en"])
    assert "None" not in said["en"] + said["ko"]


def test_rows_sent_along_need_no_caveat_unless_there_are_none() -> None:
    assert Provenance.uploaded({"a": [{}, {}], "b": [{}]}).to_json()["rows"] == 3
    assert Provenance.uploaded({"a": [{}]}).caveat(SAID) == SAID
    assert Provenance.uploaded({}).caveat(SAID)["en"] == "n: 3\nThe tables have no rows."


def test_a_gain_names_the_rows_it_was_measured_on() -> None:
    own = explanation("duckdb", FASTER, Provenance.published("pa", 2_010))
    assert "measured on 2,010 synthetic rows, it is 3.0 times" in own["en"]
    assert "합성 데이터 2,010개 행에서 재어 3.0배" in own["ko"]
    stand_in = explanation("duckdb", FASTER, Provenance.published(TABLE, 2_010))
    assert f"{TABLE} itself may give other times" in stand_in["en"]
    assert TABLE in stand_in["ko"]
    sent = explanation("duckdb", FASTER, Provenance.uploaded({"a": [{}] * 5}))
    assert "measured on the 5 rows sent along" in sent["en"]
