"""What one task may spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Self

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one task, enforced by the kernel and the pool, not by the task.

    ``memory_bytes`` is address space beyond what a fresh worker already maps, so a pool of n workers grows a service
    by at most n times that: the default keeps a pool of two and its service under 1.5 GB.
    ``cpu_seconds`` is whole seconds of processor time (RLIMIT_CPU's resolution).
    ``result_rows`` bounds a query's rows, ``result_bytes`` the encoded result of any task.
    """

    wall_seconds: float = 2.0
    cpu_seconds: int = 2
    memory_bytes: int = 600 * MIB
    result_rows: int = 10_000
    result_bytes: int = 4 * MIB

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")

    def to_json(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, float]) -> Self:
        return cls(
            wall_seconds=float(values["wall_seconds"]),
            cpu_seconds=int(values["cpu_seconds"]),
            memory_bytes=int(values["memory_bytes"]),
            result_rows=int(values["result_rows"]),
            result_bytes=int(values["result_bytes"]),
        )
