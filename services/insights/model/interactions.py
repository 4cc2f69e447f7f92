"""Histories from files: columns student, seq, item, skills ("|"-joined), correct, and optionally timestamp."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.insights.model.history import Answer

REQUIRED = ("student", "item", "skills", "correct")
MAX_NAME = 255
MAX_SKILLS = 64


class BadRow(ValueError):
    """A row cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Row:
    student: str
    seq: int
    answer: Answer


def read_history(path: Path) -> dict[str, list[Answer]]:
    """Per learner in the order of ``seq``. CSV, CSV in gzip, or Parquet, by the name's ending.

    Raises:
        BadRow: a row or the header is wrong. OSError: the file cannot be read.
    """
    return ordered(read_rows(path.read_bytes(), path.name))


def ordered(rows: Iterable[Row]) -> dict[str, list[Answer]]:
    found: dict[str, list[tuple[int, Answer]]] = defaultdict(list)
    for row in rows:
        found[row.student].append((row.seq, row.answer))
    return {
        student: [answer for _, answer in sorted(entries, key=lambda entry: entry[0])]
        for student, entries in found.items()
    }


def read_rows(content: bytes, name: str) -> Iterator[Row]:
    """Raises BadRow: see ``read_history``."""
    if name.endswith(".parquet"):
        yield from _parsed(_parquet(content))
        return
    try:
        text = (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadRow(f"{name} is not UTF-8 text (or gzip of it): {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    _check_header(reader.fieldnames or ())
    yield from _parsed(reader)


def _parquet(content: bytes) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(content))
    except pa.ArrowInvalid as error:
        raise BadRow(f"this is no Parquet file: {error}") from error
    _check_header(table.schema_arrow.names)
    for batch in table.iter_batches(batch_size=10_000):
        yield from batch.to_pylist()


def _check_header(names: Iterable[str]) -> None:
    missing = [name for name in REQUIRED if name not in set(names)]
    if missing:
        raise BadRow(f"the columns {', '.join(missing)} are missing; needed are {', '.join(REQUIRED)}")


def _parsed(rows: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        try:
            yield _row(row, number)
        except (ValueError, TypeError) as error:
            raise BadRow(f"row {number}: {error}") from error


def _row(row: Mapping[str, Any], number: int) -> Row:
    student, item = _name(row, "student"), _name(row, "item")
    skills = tuple(dict.fromkeys(part for part in str(row.get("skills") or "").split("|") if part))
    if len(skills) > MAX_SKILLS:
        raise ValueError(f"skills: at most {MAX_SKILLS} per item")
    correct = str(row["correct"]).strip().lower()
    if correct not in {"0", "1", "true", "false"}:
        raise ValueError(f"correct: write 0 or 1, not {correct[:20]!r}")
    seq = row.get("seq")
    at = float(row.get("timestamp") or 0.0)
    if not math.isfinite(at) or at < 0:
        raise ValueError("timestamp: write seconds since 1970")
    return Row(
        student, number if seq in (None, "") else int(str(seq)), Answer(item, skills, correct in {"1", "true"}, at)
    )


def _name(row: Mapping[str, Any], column: str) -> str:
    value = str(row.get(column) if row.get(column) is not None else "").strip()
    if not 0 < len(value) <= MAX_NAME or "\x00" in value:
        raise ValueError(f"{column}: write 1 to {MAX_NAME} characters")
    return value
