"""Export the contracts, or check that they are whole and that no change breaks them.

python -m scripts.contracts export   write schemas, AsyncAPI document, Terraform input, digests
python -m scripts.contracts check    exit code 1 with every finding: what, where, what to do
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from contracts.checks.finding import Finding
from contracts.checks.golden import check_golden
from contracts.checks.manifest import check_manifest
from contracts.checks.schemas import check_models, check_published
from contracts.checks.staleness import check_exports
from contracts.exports.catalog import Catalog, declared, to_text
from contracts.exports.files import generated_files, updated_digests

CHECKS: tuple[Callable[[Catalog], list[Finding]], ...] = (
    check_manifest,
    check_models,
    check_published,
    check_golden,
)


def check(catalog: Catalog) -> list[Finding]:
    """Everything that is wrong with ``catalog`` and its files; empty when all is well."""
    found = [finding for run in CHECKS for finding in run(catalog)]
    # A model that cannot be exported, or an example that is missing, is already in the list.
    return found or check_exports(catalog)


def export(catalog: Catalog) -> list[Finding]:
    """Write every generated file, or nothing at all when a published revision would change.

    Returns why nothing was written; empty when everything was.
    """
    found = [*check_manifest(catalog), *check_models(catalog), *_missing_golden(catalog)]
    if found:
        return found
    for path, text in generated_files(catalog).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    catalog.digests.write_text(to_text(updated_digests(catalog)), encoding="utf-8")
    return []


def _missing_golden(catalog: Catalog) -> list[Finding]:
    return [
        Finding("no golden example of the current revision", catalog.where(path), "write one realistic message")
        for message in catalog.messages
        if not (path := catalog.golden(message, message.REVISION)).exists()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["export", "check"])
    command = parser.parse_args(arguments).command
    catalog = declared()
    found = export(catalog) if command == "export" else check(catalog)
    for finding in found:
        print(finding, file=sys.stderr)
    if found:
        print(f"findings: {len(found)}", file=sys.stderr)
        return 1
    print(f"{len(catalog.messages)} messages, {len(catalog.subscriptions)} subscriptions: {command} done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
