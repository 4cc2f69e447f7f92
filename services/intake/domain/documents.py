"""Which text and JSON Postgres can keep: what a client sends wrong is refused, what a worker
sends wrong is repaired and noted.

Postgres text holds no NUL; jsonb holds no NUL, no lone surrogate, no NaN or infinity.
"""

import json
import math
import re
from typing import Any

MAX_DEPTH = 32
MAX_NUMBER_DIGITS = 1000

_SUSPICIOUS = re.compile(r"\\u0000|\x00|\\u[dD][89abAB]|\\u[dD][c-fC-F]|NaN|Infinity|[eE][+-]?\d{3,}|\d{300,}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def flaw_of_text(text: str) -> str | None:
    """Why ``text`` cannot be kept, or None."""
    if "\x00" in text:
        return "must not contain the NUL character"
    if _SURROGATE.search(text):
        return "must not contain a lone surrogate"
    return None


def flaw_of_value(value: Any, depth: int = 0) -> str | None:
    """Why a decoded JSON value cannot be kept, or None."""
    if depth > MAX_DEPTH:
        return f"must not nest deeper than {MAX_DEPTH} levels"
    if isinstance(value, str):
        return flaw_of_text(value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "must hold finite numbers only"
    if isinstance(value, int):
        return None if value.bit_length() < MAX_NUMBER_DIGITS * 3 else f"numbers may have {MAX_NUMBER_DIGITS} digits"
    children = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return next((flaw for child in children if (flaw := flaw_of_value(child, depth + 1))), None)


def keepable_text(text: str) -> str:
    """``text`` without what Postgres cannot keep."""
    return _SURROGATE.sub("�", text.replace("\x00", "")) if flaw_of_text(text) else text


def keepable_json(text: str) -> tuple[str, str]:
    """A worker's JSON text as jsonb takes it, and a note saying what was changed (empty: nothing).

    Raises:
        ValueError: ``text`` is not JSON.
    """
    if not _SUSPICIOUS.search(text):
        return text, ""
    value = json.loads(text, parse_constant=lambda _: None, parse_int=_finite_int, parse_float=_finite_float)
    repaired = json.dumps(_repaired(value), ensure_ascii=False, separators=(",", ":"))
    if json.loads(repaired) == json.loads(text):
        return repaired, ""
    return repaired, "characters or numbers that JSON storage cannot keep were removed from the result"


def _finite_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_NUMBER_DIGITS else None


def _finite_float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        return keepable_text(value)
    if isinstance(value, dict):
        return {keepable_text(key): _repaired(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_repaired(child) for child in value]
    return value
