"""Making a table's examples: every one has run before it is stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.kernel.metadata_cache import Example
from services.kernel.sql.guard import Refused
from services.metadata.domain import examples as rules
from services.metadata.domain.examples import Failed, Proposal, Verified
from services.metadata.domain.offline import safe_examples
from services.metadata.domain.tables import Described
from services.metadata.ports import ExampleWriter, Warehouse, WriteRequest


@dataclass(frozen=True)
class ExampleMaker:
    """Makes one table's examples: kept, corrected, written, repaired once, and safe ones for what is still missing.

    ``deadline``: monotonic seconds, for the model.
    """

    warehouse: Warehouse
    writer: ExampleWriter
    described: Described
    deadline: float
    job_id: UUID | None = None

    async def checked_again(self, kept: Sequence[Example]) -> list[Verified]:
        """Every example runs again after a change; one that fails now is left out."""
        found = []
        for example in kept:
            trial = await self.warehouse.attempt(example.sql, self.described)
            if trial.runs:
                counted = example.model_copy(
                    update={"checks_made": example.checks_made + 1, "checks_passed": example.checks_passed + 1}
                )
                found.append(Verified(counted, trial))
        return found

    async def filled(
        self, found: list[Verified], replacements: Sequence[Proposal], new_columns: Collection[str]
    ) -> tuple[list[Verified], str]:
        """With learners' ``replacements`` and as many new ones as are missing; a note when no model wrote them."""
        corrected, _ = await self._verified(replacements)
        found = [*found, *corrected]
        missing = rules.WANTED - len(found)
        if missing <= 0:
            return found, ""
        request = WriteRequest(
            self.described.schema,
            missing,
            [item.example.question for item in found],
            new_columns,
            self.deadline,
            self.job_id,
        )
        written = await self.writer.write(request)
        good, failed = await self._verified(_new(written.proposals, found))
        if failed:
            repaired = await self.writer.repair(request, failed)
            mended, _ = await self._verified(repaired.proposals)
            good += mended
        found = _distinct([*found, *good])
        if len(found) < rules.WANTED:
            spare = _new(safe_examples(self.described.schema), found)[: rules.WANTED - len(found)]
            safe, _ = await self._verified(spare)
            found = _distinct([*found, *safe])
        return found, written.note

    async def _verified(self, proposals: Sequence[Proposal]) -> tuple[list[Verified], list[Failed]]:
        good, failed = [], []
        for proposal in proposals:
            try:
                checked = rules.admitted(proposal.sql, self.described.schema)
            except Refused as refused:
                failed.append(Failed(proposal, str(refused)))
                continue
            trial = await self.warehouse.attempt(proposal.sql, self.described)
            if trial.runs:
                good.append(rules.verified(proposal, checked, trial, self.described.schema))
            else:
                failed.append(Failed(proposal, trial.error))
        return good, failed


def _new(proposals: Sequence[Proposal], found: Sequence[Verified]) -> list[Proposal]:
    """Those whose SQL is not among ``found`` already, and has no need to run again."""
    known = {item.example.id for item in found}
    return [proposal for proposal in proposals if rules.example_id(proposal.sql) not in known]


def _distinct(found: Sequence[Verified]) -> list[Verified]:
    return list({item.example.id: item for item in reversed(found)}.values())[::-1]
