"""When two answers are one, and what may be stored of what they return."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.grader.domain import answer_key, storable


@pytest.mark.parametrize(
    "other",
    [
        "SELECT a FROM t WHERE b = 'x  y';",
        "  SELECT   a\nFROM t\tWHERE b='x  y' ; ; ",
        "-- tries\nSELECT a /* the column */ FROM t WHERE b = 'x  y'",
    ],
)
def test_layout_comments_and_semicolons_do_not_count(other: str) -> None:
    assert answer_key(other, "duckdb") == answer_key("SELECT a FROM t WHERE b = 'x  y'", "duckdb")


@pytest.mark.parametrize(
    "other",
    [
        "SELECT a FROM t WHERE b = 'x y'",
        "SELECT a FROM t WHERE b = 'X  y'",
        'SELECT a FROM t WHERE b = "x  y"',
        "SELECT a, a FROM t WHERE b = 'x  y'",
        "SELECT a FROM t WHERE b = 'x  y' -- \nLIMIT 1",
        "SELECT a FROM t WHERE b = 'x  y--'",
        "SELECT 'unterminated",
        "",
    ],
)
def test_everything_else_does(other: str) -> None:
    assert answer_key(other, "duckdb") != answer_key("SELECT a FROM t WHERE b = 'x  y'", "duckdb")


def test_the_dialect_counts() -> None:
    assert answer_key("SELECT 1", "duckdb") != answer_key("SELECT 1", "bigquery")


@given(st.text(max_size=200))
def test_any_text_has_a_key(text: str) -> None:
    assert len(answer_key(text, "duckdb")) == 32


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner),
)


@given(_JSON)
def test_what_is_stored_is_valid_unicode_without_nul(value: object) -> None:
    text = str(storable(value))
    assert "\x00" not in text
    text.encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_ordinary_text_is_stored_as_it_is(text: str) -> None:
    assert storable({"rows": [[text]]}) == {"rows": [[text]]}
