"""Whether instances still show a difference that was found: many at once as a hint, one by itself for certain."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.engine import InstanceEngine, TooManyRows
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.pair import Pair, Standing

_FEW = 2  # instances that are not worth a batch


class Differing:
    """Knows the pair's difference of one ``standing``; replaces what the engine has loaded.

    ``hinted`` is quick and right nearly always, ``likely`` leaves out less, ``surely`` is certain.
    """

    def __init__(self, engine: InstanceEngine, pair: Pair, standing: Standing, deadline: Deadline) -> None:
        self._engine, self._pair, self._standing, self._deadline = engine, pair, standing, deadline

    @property
    def hints_mislead(self) -> bool:
        """Whether what many instances show at once may well not be what each shows by itself."""
        return self._pair.chancy or self._pair.lenient

    def hinted(self, candidates: Sequence[Instance]) -> list[int]:
        """The indexes of the candidates that seem to differ just as the difference found does."""
        if len(candidates) > _FEW:
            return self._seeming(candidates, {self._standing})
        if self._pair.chancy:
            return [n for n, candidate in enumerate(candidates) if self.surely(candidate)]
        slots = sorted(self._engine.load(candidates))
        return [slot for slot in slots if self._pair.run(self._engine, slot, self._deadline).difference is not None]

    def likely(self, candidates: Sequence[Instance]) -> list[int]:
        """The indexes of the candidates that may still differ; of those left out most do not."""
        if len(candidates) <= _FEW:
            return list(range(len(candidates)))
        return self._seeming(candidates, set(Standing) - {Standing.UNSETTLED})

    def _seeming(self, candidates: Sequence[Instance], standings: set[Standing]) -> list[int]:
        try:
            if self._pair.chancy:
                seen = self._pair.standings_on_all(self._engine, candidates, self._deadline)
                return [n for n, standing in enumerate(seen) if standing in standings]
            slots = sorted(self._engine.load(candidates))
            runs = self._pair.run_on_all(self._engine, slots, self._deadline)
        except (duckdb.Error, TooManyRows):
            # An error on one is an error on all: each has to be seen by itself.
            return list(range(len(candidates)))
        return [slot for slot in slots if runs[slot].difference is not None]

    def surely(self, candidate: Instance) -> bool:
        """Whether ``candidate`` differs just as the difference found does."""
        if self._pair.chancy:
            return self._pair.standing(self._engine, candidate, self._deadline) is self._standing
        sound = self._engine.load([candidate])
        return bool(sound) and self._pair.run(self._engine, 0, self._deadline).difference is not None
