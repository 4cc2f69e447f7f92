"""Answers that must have a schema: what the model is told to write, reading it, and asking once more."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.kernel.llm.client import ModelReply
from services.kernel.llm.failures import Reason, UnusableAnswer
from services.kernel.llm.prompts import data_block

T = TypeVar("T", bound=BaseModel)

_SHOWN_ERRORS = 8
_SHOWN_ANSWER = 4_000


def schema_of(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema for ``response_json_schema``. Titles are noise that costs tokens; beside a ``$ref`` the API
    allows nothing else."""
    return _lean(answer.model_json_schema())


def _lean(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "title" and isinstance(value, str):
            continue
        if name in ("properties", "$defs"):
            kept[name] = {key: _lean(inner) for key, inner in value.items()}
        else:
            kept[name] = _lean(value) if isinstance(value, dict) else value
    return kept


def read(reply: ModelReply, answer: type[T]) -> T:
    """The reply as ``answer``. The SDK's own ``parsed`` is not used: it is None in silence when the JSON is bad.

    Raises:
        UnusableAnswer: truncated, not JSON, or not of the schema; says what is wrong where.
    """
    try:
        return answer.model_validate_json(_unfenced(reply.text))
    except ValidationError as error:
        reason = Reason.TRUNCATED if reply.finish_reason == "MAX_TOKENS" else Reason.INVALID_OUTPUT
        told = "the answer was cut off at its token limit" if reason is Reason.TRUNCATED else _told(error)
        raise UnusableAnswer(reason, told, reply.served_model, reply.tokens, reply.finish_reason, reply.text) from error


def repair_note(unusable: UnusableAnswer) -> str:
    """What is added to the prompt for the one second attempt."""
    if unusable.reason is Reason.TRUNCATED:
        return "Your previous answer was cut off. Answer again, shorter, as one complete JSON object of the schema."
    shown = data_block("previous answer", unusable.text, _SHOWN_ANSWER) if unusable.text else "(empty)"
    return f"Your previous answer could not be used: {unusable}\n{shown}\nAnswer again with JSON of the schema only."


def _unfenced(text: str) -> str:
    """Some models wrap JSON in a Markdown fence in spite of the MIME type."""
    stripped = text.strip()
    if stripped.startswith("```") and stripped.endswith("```"):
        return stripped.removeprefix("```json").removeprefix("```").removesuffix("```")
    return stripped


def _told(error: ValidationError) -> str:
    """Places and rules, without the offending values: those are the model's text and may be long."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{'.'.join(map(str, entry['loc'])) or 'answer'}: {entry['msg'][:200]}" for entry in found[:_SHOWN_ERRORS]]
    more = f" (and {len(found) - _SHOWN_ERRORS} more)" if len(found) > _SHOWN_ERRORS else ""
    return "; ".join(lines) + more
