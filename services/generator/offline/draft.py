"""A problem before verification: one plan from which both the SQL and the text are written, so that they agree."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

import sqlglot

from services.generator.offline.catalog import quoted
from services.generator.offline.concepts import CONCEPTS
from services.generator.offline.words import EMPTY, Text, listed, say

_NOT_NULL = re.compile(r'NOT ((?:"(?:[^"]|"")*"|\w+)(?:\.(?:"(?:[^"]|"")*"|\w+))?) IS NULL')


class Level(StrEnum):
    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"
    EXPERT = "expert"


@dataclass(frozen=True)
class Output:
    """A column of the answer. `meaning`: a noun phrase. `nullable`: it may hold NULL."""

    name: str
    meaning: Text
    nullable: bool = False


@dataclass(frozen=True)
class Sort:
    column: str
    descending: bool = False


@dataclass
class Draft:
    """`body`: the last SELECT without ORDER BY. `unique`: outputs that identify a row of the answer; they break ties.

    `order` is None when the answer's rows come in any order. `tables`: what the answer reads, the main one first.
    `grain`: what one row of the answer is. `step`: the third hint.
    """

    recipe: str
    level: Level
    title: Text
    task: Text
    outputs: list[Output]
    body: str
    tables: list[str]
    grain: Text
    step: Text
    tags: list[str]
    unique: tuple[str, ...] = ()
    order: list[Sort] | None = None
    limit: int | None = None
    ctes: list[tuple[str, str]] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)
    brief: Text = EMPTY


@dataclass(frozen=True)
class Composed:
    recipe: str
    level: Level
    title: Text
    description: Text
    reference_sql: str
    initial_sql: str
    ordered: bool
    tags: tuple[str, ...]
    hints: tuple[Text, Text, Text]


def assemble(draft: Draft) -> Composed:
    order = _total_order(draft)
    sql = _pretty(_statement(draft, order))
    title = draft.title + (say(" - {brief}", " - {brief}", brief=draft.brief) if draft.brief != EMPTY else EMPTY)
    tags = list(dict.fromkeys([*draft.tags, *(["order-by"] if order else []), *(["limit"] if draft.limit else [])]))
    return Composed(
        recipe=draft.recipe,
        level=draft.level,
        title=title.settled(),
        description=_description(draft, order).settled(),
        reference_sql=sql,
        initial_sql=f"SELECT\n  -- {', '.join(o.name for o in draft.outputs)}\nFROM {quoted(draft.tables[0])}",
        ordered=bool(order),
        tags=tuple(tags),
        hints=_hints(draft),
    )


def _total_order(draft: Draft) -> list[Sort]:
    if draft.order is None:
        return []
    named = {s.column for s in draft.order}
    breakers = draft.unique or tuple(o.name for o in draft.outputs)
    return [*draft.order, *(Sort(column) for column in breakers if column not in named)]


def _statement(draft: Draft, order: list[Sort]) -> str:
    nullable = {o.name for o in draft.outputs if o.nullable}
    keys = [
        f"{quoted(s.column)} {'DESC' if s.descending else 'ASC'}{' NULLS LAST' if s.column in nullable else ''}"
        for s in order
    ]
    parts = ["WITH " + ", ".join(f"{name} AS ({sql})" for name, sql in draft.ctes)] if draft.ctes else []
    parts.append(draft.body)
    if keys:
        parts.append("ORDER BY " + ", ".join(keys))
    if draft.limit:
        parts.append(f"LIMIT {draft.limit}")
    return " ".join(parts)


def _pretty(sql: str) -> str:
    pretty = sqlglot.parse_one(sql, read="duckdb").sql(dialect="duckdb", pretty=True)
    return _NOT_NULL.sub(r"\1 IS NOT NULL", pretty)  # as people write it


def _description(draft: Draft, order: list[Sort]) -> Text:
    lines = [draft.task, EMPTY, Text("**결과 열**", "**Output columns**")]
    for i, output in enumerate(draft.outputs, 1):
        lines.append(say("{i}. `{name}`: {what}", "{i}. `{name}`: {what}", i=i, name=output.name, what=output.meaning))
    lines += [EMPTY, _order_text(draft, order)]
    lines += [say("- {note}", "- {note}", note=note) for note in dict.fromkeys(draft.notes)]
    return Text("\n".join(line.ko for line in lines), "\n".join(line.en for line in lines))


def _order_text(draft: Draft, order: list[Sort]) -> Text:
    if not order:
        if len(draft.unique) == 0 and draft.grain == EMPTY:
            return Text("- 결과는 한 행입니다.", "- The result is a single row.")
        return Text("- 행의 순서는 채점하지 않습니다.", "- The order of rows does not matter.")
    given = len(draft.order or [])
    nullable = {o.name for o in draft.outputs if o.nullable}
    main = listed([_direction(s) for s in order[:given]])
    text = say("- 정렬: {keys}.", "- Order: by {keys}.", keys=main)
    if order[given:]:
        rest = listed([_direction(s) for s in order[given:]])
        text += say(" 값이 같으면 {rest}.", " Break ties by {rest}.", rest=rest)
    if nullable & {s.column for s in order}:
        text += Text(" NULL은 맨 뒤에 둡니다.", " NULLs go last.")
    if draft.limit:
        text += say(" 위에서 {n}개 행만 남깁니다.", " Keep the first {n} rows only.", n=draft.limit)
    return text


def _direction(sort: Sort) -> Text:
    if sort.descending:
        return say("`{c}` 내림차순", "`{c}` descending", c=sort.column)
    return say("`{c}` 오름차순", "`{c}` ascending", c=sort.column)


def _hints(draft: Draft) -> tuple[Text, Text, Text]:
    tables = listed([say("`{t}`", "`{t}`", t=name.replace("`", "'")) for name in dict.fromkeys(draft.tables)])
    grain = draft.grain if draft.grain != EMPTY else Text("전체를 요약한 한 줄", "one summary of everything")
    first = say(
        "필요한 테이블은 {tables}입니다. 결과의 한 행이 무엇인지부터 정하세요: {grain}.",
        "You need {tables}. First settle what one row of the result stands for: {grain}.",
        tables=tables,
        grain=grain,
    )
    return first.settled(), CONCEPTS[draft.tags[0]].hint.settled(), draft.step.settled()
