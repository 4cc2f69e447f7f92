"""Judges an answer against a reference: equal, different with a minimal counterexample, or not to be told.

What it asks and answers is light to import; the judge itself brings DuckDB and sqlglot, so it comes when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kernel.sql.judge.request import Counterexample, DatasetScore, JudgeRequest, Verdict

if TYPE_CHECKING:
    from services.kernel.sql.judge.judging import judge

__all__ = ["Counterexample", "DatasetScore", "JudgeRequest", "Verdict", "judge"]


def __getattr__(name: str) -> object:
    if name == "judge":
        from services.kernel.sql.judge.judging import judge

        return judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
