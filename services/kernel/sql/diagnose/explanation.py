"""What a learner is told, and how the place is drawn."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from services.kernel.sql.guard import Position


@dataclass(frozen=True, slots=True)
class Explanation:
    """``code`` is stable; ``clause`` names the clause the place lies in (``WHERE``, ``GROUP BY``...), when known.

    ``suggestions``: names of the problem's schema, or functions, close to the one that was not found.
    """

    code: str
    message_en: str
    message_ko: str
    hint_en: str
    hint_ko: str
    clause: str | None = None
    position: Position | None = None
    suggestions: tuple[str, ...] = ()

    def marked(self, sql: str) -> str:
        """The line of the mistake with carets under it; empty when the place is not known."""
        if self.position is None:
            return ""
        lines = sql.split("\n")
        if self.position.line > len(lines):
            return ""
        line = lines[self.position.line - 1].rstrip("\r")
        start = self.position.column - 1
        marked = line[start : start + self.position.length]
        prefix = f"{self.position.line} | "
        indent = " " * len(prefix) + "".join("\t" if char == "\t" else " " * _width(char) for char in line[:start])
        return f"{prefix}{line}\n{indent}{'^' * max(1, sum(map(_width, marked)))}"

    def to_json(self) -> dict[str, Any]:
        position = self.position
        return {
            "code": self.code,
            "clause": self.clause,
            "position": None
            if position is None
            else {
                "offset": position.offset,
                "length": position.length,
                "line": position.line,
                "column": position.column,
            },
            "message": {"en": self.message_en, "ko": self.message_ko},
            "hint": {"en": self.hint_en, "ko": self.hint_ko},
            "suggestions": list(self.suggestions),
        }


def _width(character: str) -> int:
    """Columns a character takes in a fixed-width font: two for Hangul and other wide ones, none for combining marks."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
