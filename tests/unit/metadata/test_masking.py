"""Personal data never reaches the cache or a prompt: recognised by name and by form, shown as form."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.metadata_cache import Column, TableSchema
from services.metadata.adapters.profiles import assembled
from services.metadata.domain.masking import is_personal, masked, samples
from services.metadata.domain.tables import Described

PERSONAL_NAMES = ["email", "user_email", "userEmail", "phone_number", "buyer.phone", "birth_date", "휴대폰", "고객이름"]
PLAIN_NAMES = ["id", "state", "category", "page_title", "amount", "event_name", "shipping_days", "description", "도시"]
PERSONAL_VALUES = [
    "kim@example.com",
    "write to kim.lee+x@mail.example.co.kr please",
    "010-1234-5678",
    "01012345678",
    "+82 10-1234-5678",
    "(02) 123-4567",
    "900101-1234567",
    "123-45-6789",
    "4111 1111 1111 1111",
    "192.168.10.20",
    "2001:db8:0:0:0:0:2:1",
    "DE89370400440532013000",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
]
PLAIN_VALUES = ["paid", "2026-01-31", "12345", "3.14159", "2026-01-31 10:00:00", "1234 5678", "v1.2.3", "서울", "A-100"]


@pytest.mark.parametrize("name", PERSONAL_NAMES)
def test_columns_with_personal_names_are_masked_whatever_they_hold(name: str) -> None:
    assert is_personal(name, ["x"])


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_other_columns_are_not(name: str) -> None:
    assert not is_personal(name, ["x"])


@pytest.mark.parametrize("value", PERSONAL_VALUES)
def test_values_that_look_personal_mask_their_whole_column(value: str) -> None:
    shown, is_masked = samples("note", ["fine", value], 5)
    assert is_masked
    assert value not in shown
    assert "fine" not in shown


@pytest.mark.parametrize("value", PLAIN_VALUES)
def test_plain_values_are_shown(value: str) -> None:
    assert samples("note", [value], 5) == ((value,), False)


@given(st.text(max_size=200))
def test_a_mask_keeps_no_letter_and_no_digit(text: str) -> None:
    form = masked(text)
    assert len(form) <= 80
    assert {c for c in form if c.isalpha() and c.isascii()} <= {"x"}
    assert {c for c in form if c.isdigit() and c.isascii()} <= {"9"}


def test_ranges_of_personal_columns_are_not_told() -> None:
    schema = TableSchema(
        table_id="some-project.shop.people",
        columns=(Column(name="birth_date", type="DATE"), Column(name="visits", type="INTEGER")),
    )
    described = Described(schema, None, datetime.now(UTC), 2, 10)
    figures = {"total": 2, "n0": 0, "d0": 2, "lo0": "1980-01-01", "hi0": "1999-01-01"}
    figures |= {"n1": 1, "d1": 1, "lo1": "3", "hi1": "3"}
    profiled = assembled(described, [{"birth_date": "1980-01-01", "visits": 3}], figures, "")
    birth, visits = (column.profile for column in profiled.columns)
    assert birth is not None
    assert (birth.minimum, birth.maximum, birth.samples) == (None, None, ("9999-99-99",))
    assert visits is not None
    assert (visits.null_share, visits.minimum, visits.samples) == (0.5, "3", ("3",))
