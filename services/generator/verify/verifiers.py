"""Verification where it is asked for: in this process, or in sandboxed ones."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Final, Protocol, Self

from services.generator.verify.check import Candidate, Rejected, Verified, verify
from services.generator.verify.engine import database
from services.generator.verify.instances import sample
from services.generator.verify.sandboxed import ORDER_SEED, TASKS, SandboxedVerification
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.sync import SyncSandbox
from services.kernel.sql.schema import Schema

_LIMITS: Final = Limits(wall_seconds=30.0, cpu_seconds=25)


class Verifier(Protocol):
    """Checks candidates over one schema and base data set."""

    def outcomes(self, candidates: Iterable[Candidate]) -> Generator[Verified | Rejected, None, None]:
        """One outcome per candidate, in order; closing it ends the work on those not yet told."""
        ...


class InProcessVerifier:
    """For queries that the generator composed itself. Use as ``with InProcessVerifier(schema, base) as verifier``."""

    def __init__(self, schema: Schema, base: Dataset) -> None:
        self._schema, self._base = schema, base
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        order = random.Random(ORDER_SEED)
        self._ready = self._stack.enter_context(database(self._schema, self._base))
        self._shuffled = self._stack.enter_context(database(self._schema, self._base, order))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def outcomes(self, candidates: Iterable[Candidate]) -> Generator[Verified | Rejected, None, None]:
        samples = sample(self._base)
        for candidate in candidates:
            try:
                yield verify(candidate, self._schema, samples, self._ready, self._shuffled)
            except Rejected as rejection:
                yield rejection


class SandboxVerifier:
    """The same in `workers` limited processes at once. It has its own sandbox: the base data set lives in it."""

    def __init__(self, schema: Schema, base: Dataset, workers: int = 2) -> None:
        self._verification = SandboxedVerification(schema, base)
        self._stack = ExitStack()
        self._sandbox = SyncSandbox(workers, tasks=TASKS)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._sandbox)
        for name, files in self._verification.stored():
            self._sandbox.store(name, files)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def outcomes(self, candidates: Iterable[Candidate]) -> Generator[Verified | Rejected, None, None]:
        """Raises the sandbox's error when it cannot run anything at all."""
        payloads = (self._verification.payload(candidate) for candidate in candidates)
        with closing(self._sandbox.map("verify", payloads, _LIMITS)) as outcomes:
            for outcome in outcomes:
                yield self._verification.read(outcome)
