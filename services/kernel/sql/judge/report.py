"""What every verdict records, filled in while the judgement goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

import duckdb

from services.kernel.sql.judge.deadline import PassedLimit
from services.kernel.sql.judge.request import DatasetScore, JudgeRequest, Method, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds of wall-clock and of processor time."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.monotonic(), time.process_time())

    def elapsed(self) -> tuple[float, float]:
        """Milliseconds of each since then."""
        return (time.monotonic() - self.wall) * 1000, (time.process_time() - self.cpu) * 1000


@dataclass
class Report:
    """``ended_by``, ``instances`` and ``datasets``: as far as the judgement has come."""

    request: JudgeRequest
    started: Clock
    instances: int = 0
    ended_by: PassedLimit = ""
    datasets: tuple[DatasetScore, ...] = ()

    def verdict(self, outcome: Outcome, reason: str, method: Method, *, detail: str = "") -> Verdict:
        elapsed, cpu = self.started.elapsed()
        return Verdict(
            outcome=outcome,
            reason=reason,
            method=method,
            engine=f"duckdb {duckdb.__version__}",
            seed=self.request.seed,
            budget_ms=self.request.budget_ms,
            elapsed_ms=elapsed,
            cpu_ms=cpu,
            detail=detail,
            instances=self.instances,
            ended_by=self.ended_by,
            datasets=self.datasets,
            score=1.0 if outcome == "equivalent" else 0.0,
            as_of=self.request.as_of,
        )
