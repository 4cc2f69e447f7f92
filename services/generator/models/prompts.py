"""What models are told about problems. Table and column names, values and their own earlier drafts are foreign text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from services.generator.datasets.profiles import ColumnProfile, Profile
from services.generator.domain import GenerationOrder
from services.generator.models.draft import Draft
from services.generator.offline.concepts import CONCEPTS
from services.kernel.llm.prompts import DATA_RULE, clean, data_block
from services.kernel.sql.schema import Schema, Table

PROMPT_VERSION: Final = "problem-1"
"""Part of every problem's provenance: change it with any text in this file."""

_MAX_TABLES, _MAX_COLUMNS, _MAX_VALUES = 20, 40, 6
_MAX_FACTS, _MAX_TITLES, _MAX_DRAFTS = 16_000, 4_000, 12_000
_MAX_VALUE = 40

WRITE: Final = f"""You write SQL practice problems for analysts, for DuckDB.
Each problem asks a question that somebody at the company would really ask, and one query answers it.
Rules:
- Use only the tables and columns given. One read-only query. No functions of the current time, no randomness.
- Name every output column with AS. Say in the description what each output column is, in order.
- Set ordered to true only when the description states a total order of the rows, ties included, and end the query with
  that ORDER BY. Otherwise the order of rows does not count. Use LIMIT only with a total order.
- State every boundary and literal that the query uses, so that two people who read the text write equal queries.
- Korean texts are natural Korean, English texts natural English, and say the same.
- Three hints of growing help. None may contain SQL of the answer.
- Tags come from the list given.
{DATA_RULE}"""

SOLVE: Final = f"""You solve SQL problems for DuckDB. You see what a learner sees: the tables, and each problem's text.
Write one read-only query per problem, which answers exactly what its text says, with its output columns in order.
If a text does not say enough to write one query, answer with an empty sql for it. Do not guess.
{DATA_RULE}"""


def ask_for_problems(
    order: GenerationOrder, facts: str, difficulties: Sequence[str], titles: Iterable[str], topics: Sequence[str]
) -> str:
    """One problem per entry of ``difficulties``. ``facts``: see ``facts_of``."""
    language = {"ko": "Korean; leave en empty", "en": "English; leave ko empty", "both": "Korean and English"}
    known = "\n".join(titles)
    return "\n\n".join(
        [
            f"Write {len(difficulties)} problems of these difficulties: {', '.join(difficulties)}.",
            f"Languages: {language[order.locale]}.",
            f"Tags to choose from: {', '.join(topics or sorted(CONCEPTS))}.",
            facts,
            *([f"Do not repeat these:\n{data_block('titles', known, _MAX_TITLES)}"] if known else []),
        ]
    )


def ask_for_repair(order: GenerationOrder, facts: str, faults: Sequence[tuple[Draft, str]]) -> str:
    """``faults``: drafts with what a reader of their text alone got instead."""
    parts = [
        f"{data_block('draft', draft.model_dump_json(), _MAX_DRAFTS)}\n{data_block('finding', finding, 2_000)}"
        for draft, finding in faults
    ]
    return "\n\n".join(
        [
            f"Repair these {len(faults)} problems. Somebody who read only the text wrote a query with another result.",
            "Correct the text, or the query, so that the text leads to the query's result. Keep the difficulty.",
            f"Languages: as in the drafts ({order.locale}).",
            facts,
            *parts,
        ]
    )


def ask_for_solutions(facts: str, drafts: Sequence[Draft], columns: Sequence[Sequence[str]]) -> str:
    """``columns``: the names of each problem's output columns, which a learner sees too."""
    parts = []
    for number, (draft, names) in enumerate(zip(drafts, columns, strict=True), 1):
        text = draft.description.en or draft.description.ko
        told = f"{draft.title.en or draft.title.ko}\n{text}\nOutput columns: {', '.join(names)}"
        ordered = "The order of rows counts." if draft.ordered else "The order of rows does not count."
        parts.append(f"Problem {number}. {ordered}\n{data_block('problem', told, _MAX_DRAFTS)}")
    return "\n\n".join([facts, *parts])


def facts_of(schema: Schema, profile: Profile) -> str:
    """The tables with what their columns hold, as one data block; what is cut is said to be cut."""
    tables = [_table(table, profile.get(table.name, {})) for table in schema.tables[:_MAX_TABLES]]
    if len(schema.tables) > _MAX_TABLES:
        tables.append(f"(and {len(schema.tables) - _MAX_TABLES} more tables, not to be used)")
    return data_block("tables", "\n\n".join(tables), _MAX_FACTS)


def _table(table: Table, profiles: dict[str, ColumnProfile]) -> str:
    rows = max((profile.rows for profile in profiles.values()), default=0)
    lines = [f"TABLE {_name(table.name)} ({rows:,} rows)"]
    if table.primary_key:
        lines.append(f"  PRIMARY KEY ({', '.join(map(_name, table.primary_key))})")
    lines += [
        f"  FOREIGN KEY ({', '.join(map(_name, key.columns))}) REFERENCES {_name(key.ref_table)}"
        f" ({', '.join(map(_name, key.ref_columns))})"
        for key in table.foreign_keys
    ]
    for column in table.columns[:_MAX_COLUMNS]:
        required = " NOT NULL" if table.is_required(column.name) else ""
        lines.append(f"  {_name(column.name)} {column.type}{required}{_looks(profiles.get(column.name))}")
    if len(table.columns) > _MAX_COLUMNS:
        lines.append(f"  (and {len(table.columns) - _MAX_COLUMNS} more columns, not to be used)")
    return "\n".join(lines)


def _looks(profile: ColumnProfile | None) -> str:
    if profile is None or not profile.rows:
        return ""
    parts = [f"{profile.distinct:,} values"]
    if profile.nulls:
        parts.append(f"{profile.null_share:.0%} NULL")
    if 0 < profile.distinct <= _MAX_VALUES:
        parts.append("such as " + ", ".join(_value(value) for value, _ in profile.common[:_MAX_VALUES]))
    elif profile.quantiles:
        parts.append(f"from {_value(profile.quantiles[0])} to {_value(profile.quantiles[-1])}")
    return f" -- {', '.join(parts)}"


def _value(value: object) -> str:
    return clean(repr(value) if isinstance(value, str) else str(value), _MAX_VALUE).replace("\n", " ")


def _name(name: str) -> str:
    """As it must be written in SQL; foreign text on one line."""
    quoted = clean(name, 200).replace("\n", " ").replace('"', '""')
    return name if name.isidentifier() and name.isascii() else f'"{quoted}"'
