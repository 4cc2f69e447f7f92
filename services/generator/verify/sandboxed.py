"""Verification in a sandboxed process: what is stored there, what a task is sent, and what its answer means."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from services.generator.verify.check import Candidate, DropReason, MutantScore, Rejected, Verified, verify
from services.generator.verify.engine import bare_table
from services.generator.verify.instances import sample
from services.kernel.errors import QueryCraftError
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.datasets import DatasetFiles
from services.kernel.sql.sandbox.errors import LimitExceeded, WorkerDied
from services.kernel.sql.sandbox.tasks import TaskContext
from services.kernel.sql.schema import Schema

TASKS: Final[Mapping[str, str]] = {"verify": "services.generator.verify.sandboxed:run_verify"}
BASE: Final = "base"
SHUFFLED: Final = "shuffled"
# In process and in a sandbox the rows are shuffled alike.
ORDER_SEED: Final = 7


class SandboxedVerification:
    """One schema and base data set, for a sandbox that holds what ``stored`` gives under those names."""

    def __init__(self, schema: Schema, base: Dataset) -> None:
        self._schema, self._base = schema, base
        self.schema_json = schema.to_json()
        self._common = {
            "schema": self.schema_json,
            "samples": sample(base).to_json(),
            "stored": [BASE, SHUFFLED],
        }

    def stored(self) -> Iterator[tuple[str, DatasetFiles]]:
        """The base data set twice, the second time with its rows in another order."""
        # Constraints cost time and change no result; the generator checked them.
        ddl = [bare_table(table) for table in self._schema.tables]
        found = self._base.to_json()
        rows: dict[str, list[Mapping[str, Any]]] = {t.name: list(found.get(t.name, ())) for t in self._schema.tables}
        yield BASE, DatasetFiles.rows(ddl, rows)
        order = random.Random(ORDER_SEED)
        shuffled = {table: list(stored) for table, stored in rows.items()}
        for stored in shuffled.values():
            order.shuffle(stored)
        yield SHUFFLED, DatasetFiles.rows(ddl, shuffled)

    def payload(self, candidate: Candidate) -> dict[str, Any]:
        """For the task "verify"."""
        return {**self._common, "sql": candidate.sql, "ordered": candidate.ordered, "seed": candidate.seed}

    def read(self, outcome: Any) -> Verified | Rejected:
        """``outcome``: what the task returned, or the error it ended with. Raises an error that says nothing about the
        candidate: the sandbox cannot run anything at all."""
        if isinstance(outcome, (LimitExceeded, WorkerDied)):
            return Rejected(DropReason.OVER_BUDGET, str(outcome))
        if isinstance(outcome, QueryCraftError):
            raise outcome
        if "reason" in outcome:
            return Rejected(DropReason(outcome["reason"]), outcome["detail"])
        expected, score = outcome["expected"], outcome["score"]
        return Verified(
            ResultSet(
                tuple(expected["columns"]), tuple(expected["types"]), tuple(tuple(row) for row in expected["rows"])
            ),
            tuple(Dataset.from_json(small["rows"], self._schema, small["name"]) for small in outcome["small"]),
            MutantScore(**{**score, "survived": tuple(score["survived"])}),
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
