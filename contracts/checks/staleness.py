"""The generated files say what the models and the manifest say."""

from collections.abc import Iterator
from pathlib import Path

from contracts.checks.finding import Finding
from contracts.exports.catalog import Catalog, revisions
from contracts.exports.files import generated_files

EXPORT = "run: python -m scripts.contracts export, and commit what it writes"


def check_exports(catalog: Catalog) -> list[Finding]:
    """Stale, missing and left-over exports."""
    found = [
        Finding("stale: the models or the manifest changed since", catalog.where(path), EXPORT)
        for path, text in generated_files(catalog).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    known = set(_expected_paths(catalog))
    found += [
        Finding("belongs to no declared message and revision", catalog.where(path), "delete it, or declare its message")
        for path in sorted(_present_paths(catalog))
        if path not in known
    ]
    return found


def _expected_paths(catalog: Catalog) -> Iterator[Path]:
    for message in catalog.messages:
        for revision in revisions(message):
            yield catalog.avro(message, revision)
            yield catalog.json_schema(message, revision)
            yield catalog.golden(message, revision)


def _present_paths(catalog: Catalog) -> Iterator[Path]:
    for pattern in ("schemas/avro/*", "schemas/json/*", "golden/*/*"):
        yield from (catalog.root / "contracts").glob(pattern)
