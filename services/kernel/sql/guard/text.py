"""Checks on the raw text, all linear in its length, made before any recursive parser sees it."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from services.kernel.sql.guard.refusal import Position, Refused

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

MAX_BYTES: Final = 32 * 1024
MAX_TOKENS: Final = 6_000
# sqlglot descends some 25 Python frames per level of nesting; the interpreter's default allows 1,000.
MAX_NESTING: Final = 32
# A chain of binary operators becomes a left-deep tree, which later tree walks descend.
MAX_CHAIN: Final = 1_000

_ALLOWED_CONTROLS: Final = frozenset("\t\n\r")
# Bidirectional overrides make text read differently from what runs (CVE-2021-42574).
_BIDIRECTIONAL: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_OPENERS: Final = frozenset({"L_PAREN", "L_BRACKET", "L_BRACE", "CASE"})
_CLOSERS: Final = frozenset({"R_PAREN", "R_BRACKET", "R_BRACE", "END"})
_PREFIXES: Final = frozenset({"NOT", "DASH", "TILDE", "TILDA", "PLUS"})
_SET_OPERATORS: Final = frozenset({"UNION", "EXCEPT", "INTERSECT"})


def check_text(sql: str) -> None:
    """Raises Refused when the text is empty, too long, or holds characters that no honest query needs."""
    if not sql.strip():
        raise Refused("empty")
    try:
        size = len(sql.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise Refused("not_text", position=Position.at(sql, error.start)) from None
    if size > MAX_BYTES:
        raise Refused("too_long", detail=f"{size:,} bytes of {MAX_BYTES:,}.")
    for offset, character in enumerate(sql):
        if character in _ALLOWED_CONTROLS or " " <= character <= "~":
            continue
        if character in _BIDIRECTIONAL or unicodedata.category(character) in {"Cc", "Cn", "Co"}:
            raise Refused("control_character", subject=f"U+{ord(character):04X}", position=Position.at(sql, offset))


def check_tokens(sql: str, tokens: list[Token]) -> None:
    """Raises Refused when the tokens nest or chain further than the parser can follow in bounded time."""
    if len(tokens) > MAX_TOKENS:
        raise Refused("too_complex", detail=f"{len(tokens):,} tokens of {MAX_TOKENS:,}.")
    depth = prefixes = chain = 0
    for token in tokens:
        kind = token.token_type.name
        if kind in _OPENERS:
            depth += 1
        elif kind in _CLOSERS:
            depth = max(0, depth - 1)
        prefixes = prefixes + 1 if kind in _PREFIXES else 0
        chain += kind in _SET_OPERATORS
        if depth > MAX_NESTING or prefixes > MAX_NESTING or chain > MAX_NESTING * 4:
            raise Refused("too_deep", position=Position.at(sql, token.start, token.end - token.start + 1))
