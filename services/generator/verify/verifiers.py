"""Verification where it is asked for: in this process, or in sandboxed ones."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Protocol, Self

from services.generator.verify.check import Candidate, DropReason, MutantScore, Rejected, Verified, verify
from services.generator.verify.engine import bare_table, database
from services.generator.verify.instances import sample
from services.kernel.errors import QueryCraftError
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.datasets import DatasetFiles
from services.kernel.sql.sandbox.errors import LimitExceeded, WorkerDied
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.sync import SyncSandbox
from services.kernel.sql.sandbox.tasks import DEFAULT_TASKS, TaskContext
from services.kernel.sql.schema import Schema

_TASKS: Final[Mapping[str, str]] = {**DEFAULT_TASKS, "verify": "services.generator.verify.verifiers:run_verify"}
_LIMITS: Final = Limits(wall_seconds=30.0, cpu_seconds=25)
_ORDER_SEED: Final = 7
_STORED: Final = ("base", "shuffled")


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
        order = random.Random(_ORDER_SEED)
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
        self._schema, self._base = schema, base
        self._stack = ExitStack()
        self._sandbox = SyncSandbox(workers, tasks=_TASKS)

    def __enter__(self) -> Self:
        order = random.Random(_ORDER_SEED)
        # Constraints cost time and change no result; the generator checked them.
        ddl = [bare_table(table) for table in self._schema.tables]
        self._stack.enter_context(self._sandbox)
        for name, shuffled in zip(_STORED, (False, True), strict=True):
            rows: dict[str, list[Mapping[str, Any]]] = {}
            for table, found in self._base.to_json().items():
                rows[table] = list(found)
                if shuffled:
                    order.shuffle(rows[table])
            self._sandbox.store(name, DatasetFiles.rows(ddl, rows))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def outcomes(self, candidates: Iterable[Candidate]) -> Generator[Verified | Rejected, None, None]:
        """Raises the sandbox's error when it cannot run anything at all."""
        common = {"schema": self._schema.to_json(), "samples": sample(self._base).to_json(), "stored": list(_STORED)}
        payloads = ({**common, "sql": c.sql, "ordered": c.ordered, "seed": c.seed} for c in candidates)
        with closing(self._sandbox.map("verify", payloads, _LIMITS)) as outcomes:
            for outcome in outcomes:
                yield self._read(outcome)

    def _read(self, outcome: Any) -> Verified | Rejected:
        if isinstance(outcome, (LimitExceeded, WorkerDied)):
            return Rejected(DropReason.OVER_BUDGET, str(outcome))
        if isinstance(outcome, QueryCraftError):
            raise outcome
        if "reason" in outcome:
            return Rejected(DropReason(outcome["reason"]), outcome["detail"])
        expected = outcome["expected"]
        return Verified(
            ResultSet(
                tuple(expected["columns"]), tuple(expected["types"]), tuple(tuple(row) for row in expected["rows"])
            ),
            tuple(Dataset.from_json(small["rows"], self._schema, small["name"]) for small in outcome["small"]),
            MutantScore(**{**outcome["score"], "survived": tuple(outcome["score"]["survived"])}),
        )


def run_verify(payload: Any, context: TaskContext) -> Any:
    """The sandbox task "verify": {schema, samples, stored: [base, shuffled], sql, ordered, seed} -> {expected, small,
    score} or {reason, detail}."""
    schema = Schema.from_json(payload["schema"])
    ready, shuffled = (context.stored[name].connection for name in payload["stored"])
    samples = Dataset.from_json(payload["samples"], schema)
    candidate = Candidate(payload["sql"], payload["ordered"], payload["seed"])
    try:
        verified = verify(candidate, schema, samples, ready, shuffled)
    except Rejected as rejection:
        return {"reason": rejection.reason.value, "detail": rejection.detail}
    return {
        "expected": verified.expected.to_json(),
        "small": [{"name": small.name, "rows": small.to_json()} for small in verified.small],
        "score": asdict(verified.score),
    }
