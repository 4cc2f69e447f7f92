"""What Postgres cannot keep is found at the door and repaired on the way back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.documents import (
    MAX_DEPTH,
    flaw_of_text,
    flaw_of_value,
    keepable_json,
    keepable_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x\udfffy"])
def test_flawed_text(text: str) -> None:
    assert flaw_of_text(text)
    assert flaw_of_text(keepable_text(text)) is None


@pytest.mark.parametrize("value", [math.inf, math.nan, {"k\x00": 1}, [["\ud834"]], 10**2000, {"a": [float("-inf")]}])
def test_flawed_values(value: object) -> None:
    assert flaw_of_value(value)


def test_depth_is_limited_without_recursing_further() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert "nest" in (flaw_of_value(deep) or "")
    fine: object = 1
    for _ in range(MAX_DEPTH):
        fine = [fine]
    assert flaw_of_value(fine) is None


@given(JSON)
def test_repaired_json_has_no_flaw_and_sound_json_is_untouched(value: object) -> None:
    repaired, note = keepable_json(json.dumps(value))
    assert flaw_of_value(json.loads(repaired)) is None
    if flaw_of_value(value) is None:
        assert json.loads(repaired) == value
        assert note == ""


def test_a_repair_says_so() -> None:
    repaired, note = keepable_json('{"a":"x\\u0000y","b":NaN,"c":1e999,"d":"\\ud83d\\ude00","e":"\\ud83d"}')
    assert json.loads(repaired) == {"a": "xy", "b": None, "c": None, "d": "😀", "e": "�"}
    assert note


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    text = json.dumps({"path": "C:\\u0000"})
    assert json.loads(keepable_json(text)[0]) == {"path": "C:\\u0000"}
    assert keepable_json(text)[1] == ""
