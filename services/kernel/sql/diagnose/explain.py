"""From what the sandbox raised to what a learner is told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from services.kernel.sql.diagnose.catalog import (
    CRASHED,
    DEFAULT_REFUSAL_HINT,
    ENTRIES,
    LIMITS,
    REFUSAL_HINTS,
    UNRECOGNISED,
    Entry,
)
from services.kernel.sql.diagnose.explanation import Explanation
from services.kernel.sql.diagnose.places import clause_at, engine_position
from services.kernel.sql.guard import Position, Refused
from services.kernel.sql.guard.allowlist import NAMED_FUNCTIONS
from services.kernel.sql.guard.refusal import refusal_message
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied

if TYPE_CHECKING:
    from services.kernel.sql.schema import Schema

_MOST_SUGGESTIONS: Final = 3
_CLOSE: Final = 0.6  # difflib's own default: over half of the characters agree


def explain(
    error: TaskFailed | LimitExceeded | WorkerDied | Refused, sql: str, schema: Schema | None = None
) -> Explanation:
    """What ``error``, raised while running ``sql`` in the sandbox or by the guard, means and where it is.

    Raises TypeError for a TaskFailed that is no statement's fault (other codes than "refused" and "database").
    """
    if isinstance(error, LimitExceeded):
        return _from_entry(LIMITS[error.kind], {})
    if isinstance(error, WorkerDied):
        return _from_entry(CRASHED, {})
    if isinstance(error, Refused):
        return _refusal(error.code, error.subject, error.position, sql, schema)
    if error.code == "refused":
        details = error.details
        place: Any = details["position"]
        position = None if place is None else Position.at(sql, *place)
        return _refusal(str(details["code"]), str(details["subject"]), position, sql, schema)
    if error.code == "database":
        return _database(error.details, sql, schema)
    raise TypeError(f"not a statement's error: {error.code}")


def _refusal(code: str, subject: str, position: Position | None, sql: str, schema: Schema | None) -> Explanation:
    hint_en, hint_ko = REFUSAL_HINTS.get(code, DEFAULT_REFUSAL_HINT)
    explanation = Explanation(
        code=code,
        message_en=refusal_message(code, subject, "en"),
        message_ko=refusal_message(code, subject, "ko"),
        hint_en=hint_en,
        hint_ko=hint_ko,
        clause=clause_at(sql, position),
        position=position,
    )
    return _with_suggestions(explanation, subject, schema)


def _database(details: dict[str, object], sql: str, schema: Schema | None) -> Explanation:
    text = str(details.get("exception_message", ""))
    position = engine_position(sql, details)
    for entry in ENTRIES:
        match = entry.pattern.search(text)
        if match is not None:
            groups = {name.rstrip("0123456789"): value for name, value in match.groupdict().items() if value}
            explanation = replace(_from_entry(entry, groups), position=position, clause=clause_at(sql, position))
            return _with_suggestions(explanation, groups.get("name", ""), schema)
    first_sentence = re.split(r"\n|(?<=[.!])\s", text, maxsplit=1)[0]
    explanation = _from_entry(UNRECOGNISED, {"text": first_sentence})
    return replace(explanation, position=position, clause=clause_at(sql, position))


def _from_entry(entry: Entry, groups: dict[str, str]) -> Explanation:
    return Explanation(
        code=entry.code,
        message_en=entry.message_en.format_map(groups),
        message_ko=entry.message_ko.format_map(groups),
        hint_en=entry.hint_en.format_map(groups),
        hint_ko=entry.hint_ko.format_map(groups),
    )


def _with_suggestions(explanation: Explanation, name: str, schema: Schema | None) -> Explanation:
    """Adds close names of the kind that was missing; the engine's own candidates may be its internal tables."""
    names = _names(explanation.code, schema)
    known = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), known, n=_MOST_SUGGESTIONS, cutoff=_CLOSE) if name else []
    if not close:
        return explanation
    suggestions = tuple(known[match] for match in close)
    return replace(
        explanation,
        suggestions=suggestions,
        hint_en=f"Did you mean {' or '.join(suggestions)}? {explanation.hint_en}",
        hint_ko=f"혹시 {', '.join(suggestions)}인가요? {explanation.hint_ko}",
    )


def _names(code: str, schema: Schema | None) -> Iterable[str]:
    if code in {"unknown_function", "function"}:
        return NAMED_FUNCTIONS
    if schema is None:
        return ()
    if code in {"unknown_table", "unknown_alias"}:
        return (table.name for table in schema.tables)
    if code == "unknown_column":
        return (column.name for table in schema.tables for column in table.columns)
    return ()
