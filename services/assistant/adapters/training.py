"""Classifiers: trained in a process of their own, kept in Postgres, served from memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from services.assistant.ports import Corrections, StoredClassifiers, Trainer
from services.assistant.triage.model import BrokenModel, TriageModel
from services.assistant.triage.taxonomy import Example, Taxonomy
from services.assistant.triage.training_version import version_of
from services.kernel.errors import TransientError
from services.kernel.loops import attempt, wait

_logger = logging.getLogger(__name__)

TRAINING_SECONDS = 300.0


class ProcessTrainer:
    """Runs ``triage.worker_process``; at most one training at a time in this process."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def train(self, taxonomy: Taxonomy, corrections: Sequence[Example]) -> bytes:
        """See ``ports.Trainer``."""
        order = {
            "taxonomy": taxonomy.model_dump(mode="json"),
            "corrections": [example.model_dump(mode="json") for example in corrections],
        }
        async with self._one:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.assistant.triage.worker_process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(TRAINING_SECONDS):
                    output, errors = await process.communicate(json.dumps(order).encode())
            except TimeoutError:
                raise TransientError(f"training {taxonomy.name} took longer than {TRAINING_SECONDS:.0f} s") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode != 0:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise TransientError(f"training {taxonomy.name} ended with {process.returncode}: {' '.join(last)}")
        return output


class ServedClassifiers:
    """``ports.Classifiers`` over what is stored. ``keep_current`` trains what is missing or out of date.

    A stored artefact that cannot be read is passed over: the last good one serves, and the next training replaces it.
    """

    def __init__(
        self,
        taxonomies: Mapping[str, Taxonomy],
        stored: StoredClassifiers,
        corrections: Corrections,
        trainer: Trainer,
        interval: float,
    ) -> None:
        self._taxonomies = taxonomies
        self._stored = stored
        self._corrections = corrections
        self._trainer = trainer
        self._interval = interval
        self._serving: dict[str, TriageModel] = {}
        self._row: dict[str, int] = {}
        self._ready = {name: asyncio.Event() for name in taxonomies}
        self._wake = asyncio.Event()

    async def get(self, taxonomy: Taxonomy, wait: float) -> TriageModel:
        """See ``ports.Classifiers``."""
        try:
            async with asyncio.timeout(wait):
                await self._ready[taxonomy.name].wait()
        except TimeoutError:
            raise TransientError(f"the classifier of {taxonomy.name} is still being trained") from None
        return self._serving[taxonomy.name]

    def wake(self) -> None:
        """Look for corrections now."""
        self._wake.set()

    async def keep_current(self) -> None:
        """Load, train and replace for as long as the service runs; whatever goes wrong in one round, the next tries."""
        while True:
            self._wake.clear()
            for taxonomy in self._taxonomies.values():
                await attempt("classifier.renewal", partial(self.refresh, taxonomy))
            await wait(self._wake, self._interval)

    async def refresh(self, taxonomy: Taxonomy) -> None:
        """Serve the newest stored classifier; train one when its material has changed since.

        Raises:
            TransientError, BrokenModel, asyncpg.PostgresError: the one in use goes on serving.
        """
        await self._load(taxonomy)
        corrections = await self._corrections.all(taxonomy.name)
        serving = self._serving.get(taxonomy.name)
        if not taxonomy.examples and not corrections:
            return  # nothing to learn from yet: corrections may come
        if serving is not None and serving.version == version_of(taxonomy, corrections):
            return
        artefact = await self._trainer.train(taxonomy, corrections)
        model = await asyncio.to_thread(TriageModel.from_bytes, artefact)
        examples = len(taxonomy.examples) + len(corrections)
        self._row[taxonomy.name] = await self._stored.add(taxonomy.name, model, artefact, examples)
        self._serve(taxonomy.name, model)
        _logger.info("classifier of %s trained", taxonomy.name, extra={"action": "classifier.trained"})

    async def _load(self, taxonomy: Taxonomy) -> None:
        for row, version, artefact, digest in await self._stored.newest(taxonomy.name):
            if self._row.get(taxonomy.name) == row:
                return
            try:
                # Beside the event loop: the first one imports numpy, and all of them are megabytes.
                model = await asyncio.to_thread(_usable, artefact, digest, taxonomy)
            except BrokenModel:
                _logger.exception(
                    "classifier %s of %s is passed over", version, taxonomy.name, extra={"action": "classifier.broken"}
                )
                continue
            self._row[taxonomy.name] = row
            self._serve(taxonomy.name, model)
            return

    def _serve(self, name: str, model: TriageModel) -> None:
        self._serving[name] = model
        self._ready[name].set()


def _usable(artefact: bytes, digest: str, taxonomy: Taxonomy) -> TriageModel:
    if hashlib.sha256(artefact).hexdigest() != digest:
        raise BrokenModel("the digest of the stored classifier is not that of its bytes")
    model = TriageModel.from_bytes(artefact)
    if model.category.labels != taxonomy.category_names or model.priority.labels != taxonomy.priority_names:
        raise BrokenModel("the stored classifier knows other labels than the taxonomy now has")
    return model
