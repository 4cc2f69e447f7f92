"""Foreign text in prompts, and reading structured answers."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from services.kernel.llm.client import ModelReply, ModelRequest, TokenUse
from services.kernel.llm.failures import Reason, UnusableAnswer
from services.kernel.llm.prompts import clean, data_block
from services.kernel.llm.structured import read, repair_note, schema_of


def test_control_and_invisible_characters_are_stripped() -> None:
    assert clean("a\x00b\x1b[31mc\u202ed\u200be\ufefff\r\ng\ttab", 100) == "ab[31mcdef\ng\ttab"


def test_korean_and_emoji_stay() -> None:
    assert clean("한국어 열 이름 🙂", 100) == "한국어 열 이름 🙂"


@given(st.text(), st.integers(1, 50))
def test_a_cap_holds_and_shows(text: str, cap: int) -> None:
    cut = clean(text, cap)
    assert len(cut) <= cap
    assert cut == clean(text, 1_000) or cut.endswith("…")


@given(st.text(alphabet='</data id="">abc0123\n', max_size=200))
def test_a_text_cannot_close_its_own_block(text: str) -> None:
    block = data_block("t", text, 1_000)
    match = re.match(r'<data name="t" id="([0-9a-f]{12})">\n', block)
    assert match is not None
    assert block.count(match[1]) == 2
    assert block.endswith(f'</data id="{match[1]}">')


class Inner(BaseModel):
    title: str = Field(title="Shown")


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    inner: Inner = Field(description="What is inside.")
    count: int = Field(ge=1)


def reply(text: str, finish: str = "STOP") -> ModelReply:
    return ModelReply(text, finish, "served", TokenUse(prompt=1))


GOOD = {"title": "t", "inner": {"title": "i"}, "count": 2}


def test_schemas_keep_fields_named_title_and_lose_titles() -> None:
    schema = schema_of(Shape)
    assert set(schema["properties"]) == {"title", "inner", "count"}
    assert "title" not in schema
    assert schema["properties"]["inner"] == {"$ref": "#/$defs/Inner"}, "the API allows nothing beside it"
    assert schema["properties"]["title"] == {"type": "string"}
    assert schema["$defs"]["Inner"]["properties"] == {"title": {"type": "string"}}


@pytest.mark.parametrize("text", [json.dumps(GOOD), f"```json\n{json.dumps(GOOD)}\n```", f"  {json.dumps(GOOD)}\n"])
def test_good_answers_are_read(text: str) -> None:
    assert read(reply(text), Shape).count == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Invalid JSON"),
        ("[]", "answer: "),
        (json.dumps({**GOOD, "count": 0}), "count: "),
        (json.dumps({**GOOD, "extra": 1}), "extra: "),
        (json.dumps({"inner": {}}), "inner.title: Field required"),
        ("[" * 100_000, "Invalid JSON"),
        ('{"title": "\\ud800"}', "Invalid JSON"),
    ],
)
def test_bad_answers_say_what_is_wrong_where(text: str, told: str) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        read(reply(text), Shape)
    assert told in str(caught.value)
    assert caught.value.reason is Reason.INVALID_OUTPUT
    assert len(str(caught.value)) < 2_500


def test_an_answer_cut_off_is_truncated_not_wrong() -> None:
    with pytest.raises(UnusableAnswer) as caught:
        read(reply('{"title": "t', "MAX_TOKENS"), Shape)
    assert caught.value.reason is Reason.TRUNCATED
    assert "cut off" in repair_note(caught.value)


def test_a_repair_note_holds_the_answer_as_data() -> None:
    unusable = UnusableAnswer(Reason.INVALID_OUTPUT, "count: missing", "m", TokenUse(), text="x" * 10_000)
    note = repair_note(unusable)
    assert "count: missing" in note
    assert '<data name="previous answer"' in note
    assert len(note) < 4_500


@given(st.text(max_size=300), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_an_estimate_covers_the_whole_answer(content: str, schema: dict[str, Any]) -> None:
    request = ModelRequest("m", "i", content, schema, 100)
    assert request.estimated_tokens > 100 + len(content.encode("utf-8", "replace")) // 4
