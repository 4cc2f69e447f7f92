"""Memory, descriptors and processor time of a service with a sandbox, watched while it works."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.kernel.sql.sandbox.pool import SandboxPool

_MIB = 2**20


@dataclass(frozen=True)
class _Sample:
    graded: int
    service: int
    zygote: int
    descriptors: int


class Resident:
    """Samples this process and the one its workers are forked from."""

    def __init__(self, pool: SandboxPool) -> None:
        self._pool = pool
        self._samples: list[_Sample] = []
        self.graded = 0

    def count(self, *, every: int) -> None:
        """One more grading; a sample after each ``every``."""
        self.graded += 1
        zygote = self._pool.zygote_process_id
        if self.graded % every == 0 and zygote is not None:
            descriptors = len(os.listdir("/proc/self/fd"))
            self._samples.append(_Sample(self.graded, _bytes(os.getpid()), _bytes(zygote), descriptors))

    def summary(self) -> dict[str, Any]:
        """Sizes in MiB, growth in bytes per grading: slopes by least squares over the last three quarters."""
        settled = self._samples[len(self._samples) // 4 :]
        graded = [float(sample.graded) for sample in settled]
        return {
            "gradings": self.graded,
            "from_grading": settled[0].graded,
            "service_mib": [_mib(settled[0].service), _mib(settled[-1].service)],
            "zygote_mib": [_mib(settled[0].zygote), _mib(settled[-1].zygote)],
            "service_bytes_per_grading": _slope(graded, [sample.service for sample in settled]),
            "zygote_bytes_per_grading": _slope(graded, [sample.zygote for sample in settled]),
            "descriptors": [settled[0].descriptors, settled[-1].descriptors],
            "peak_worker_mib": _mib(self._pool.peak_worker_bytes),
        }


def processor_seconds(pool: SandboxPool) -> float:
    """Of this process, of the one its workers are forked from, and of the workers that have ended."""
    own = sum(os.times()[:2])
    if pool.zygote_process_id is None:
        return own
    ticks = Path(f"/proc/{pool.zygote_process_id}/stat").read_text().rpartition(")")[2].split()[11:15]
    return own + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _bytes(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _mib(size: int) -> float:
    return round(size / _MIB, 1)


def _slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    return round(statistics.linear_regression(xs, ys).slope, 1)
