"""Reports from workers, as the statements that apply them take them."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class Report(Protocol):
    @property
    def job_id(self) -> str: ...


R = TypeVar("R", bound=Report)


def rounds(reports: Iterable[R]) -> list[Sequence[R]]:
    """Split so that each round names a job once, in arrival order: one statement a round, no step lost."""
    seen: dict[str, int] = {}
    split: list[list[R]] = []
    for report in reports:
        turn = seen.get(report.job_id, 0)
        seen[report.job_id] = turn + 1
        if turn == len(split):
            split.append([])
        split[turn].append(report)
    return list(split)
