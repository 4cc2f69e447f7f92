"""What the metadata cache says of a company's table: notes for a model, and examples over its stand-in here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.assistant.analysis.examples import examples_of, transpiled
from services.assistant.ports import TableKnowledge
from services.assistant.provenance import is_company_table

if TYPE_CHECKING:
    from services.kernel.metadata_cache import MetadataCache
    from services.kernel.sql.schema import Schema

MAX_COLUMNS = 200


class CachedTableKnowledge:
    def __init__(self, cache: MetadataCache) -> None:
        self._cache = cache

    async def of(self, data_type: str, schema: Schema) -> TableKnowledge:
        """See ``ports.DataKnowledge``. The cache's examples come first: they were dry-run on the table itself."""
        own = examples_of(schema)
        if not is_company_table(data_type):
            return TableKnowledge("", tuple(own))
        loaded = await self._cache.table(data_type)
        if loaded.state in ("missing", "unavailable"):
            return TableKnowledge("", tuple(own))
        known = loaded.value
        lines = [f"{known.table.table_id}: {known.table.description}"]
        lines += [
            f"{path}: {column.type} {column.description}"
            for path, column in list(known.table.paths().items())[:MAX_COLUMNS]
        ]
        pairs = [
            (e.questions.ko if e.questions else e.question, e.questions.en if e.questions else e.question, e.sql)
            for e in known.examples
        ]
        return TableKnowledge("\n".join(lines), (*transpiled(pairs, known.table.table_id, schema), *own))
