"""Writes practice problems, one JSON object a line, without a database server or a broker.

    python scripts/generate_problems.py --data-type pa --count 20 --seed 7 --out problems.jsonl
    python scripts/generate_problems.py --schema shop.sql --count 10 --seed 1 --out shop.jsonl

A schema file holds CREATE TABLE statements (DuckDB syntax) with their keys; its rows are made up from them.
Exit status: 0 when every problem asked for was written, 1 when fewer were (those are kept), 2 for a bad request.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path

# Run as a file, this folder is first on the path, with a `services` and a `contracts` of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services.generator.datasets import DATA_TYPES
from services.generator.offline.generate import GenerationRequest, GenerationResult, generate
from services.generator.verify.verifiers import SandboxVerifier
from services.kernel.errors import PermanentError
from services.kernel.sql.schema import InvalidSchema, Schema


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    started = time.perf_counter()
    try:
        request = GenerationRequest(
            data_type=options.data_type or options.schema.stem,
            count=options.count,
            seed=options.seed,
            schema=read_schema(options.schema) if options.schema else None,
            rows=options.rows,
        )
        request.check()
        options.out.open("a").close()  # now, not after minutes of work
        result = generate(request, _report, partial(SandboxVerifier, workers=options.workers))
    except (PermanentError, OSError) as error:
        print(f"generate_problems: {error}", file=sys.stderr)
        return 2
    with options.out.open("w", encoding="utf-8") as file:
        for problem in result.problems:
            file.write(json.dumps(problem.to_json(), ensure_ascii=False) + "\n")
    print(_summary(result, time.perf_counter() - started), file=sys.stderr)
    return 1 if result.shortfall else 0


def read_schema(path: Path) -> Schema:
    """Raises InvalidSchema for anything but CREATE TABLE statements, OSError when the file cannot be read."""
    import sqlglot

    try:
        statements = [s for s in sqlglot.parse(path.read_text(encoding="utf-8"), read="duckdb") if s is not None]
    except (sqlglot.errors.SqlglotError, UnicodeDecodeError) as error:
        raise InvalidSchema(f"{path} cannot be read as SQL: {error}") from error
    if not statements:
        raise InvalidSchema(f"{path} holds no CREATE TABLE statement")
    return Schema.from_ddl([statement.sql(dialect="duckdb") for statement in statements])


def _report(done: int, wanted: int) -> None:
    if done == wanted or done % 10 == 0:
        print(f"{done} of {wanted}", file=sys.stderr)


def _summary(result: GenerationResult, seconds: float) -> str:
    published = len(result.problems)
    tags = {tag for problem in result.problems for tag in problem.tags}
    lines = [
        f"{published} problems in {seconds:.1f} s ({published / seconds * 60:.0f} a minute), "
        f"{published / max(1, result.candidates):.0%} of {result.candidates} candidates, {len(tags)} concept tags"
    ]
    lines += [f"dropped, {reason}: {count}" for reason, count in result.dropped.most_common()]
    return "\n".join([*lines, result.shortfall] if result.shortfall else lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write practice problems as JSON lines.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data-type", choices=DATA_TYPES)
    source.add_argument(
        "--schema", type=Path, metavar="FILE.sql", help="CREATE TABLE statements with keys, DuckDB syntax"
    )
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=1_500, help="rows of the base data set, about")
    parser.add_argument("--workers", type=int, default=2, help="verifying processes")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
