"""Known ways of making a query slow, found in its syntax tree. Pure; sqlglot only.

Imported by the sandbox's own process, which parses what people send.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlglot import exp
from sqlglot.optimizer.scope import build_scope, traverse_scope

from services.assistant.optimization.rules import (
    bare_join_keys,
    exists_for_count,
    without_inner_order,
    without_unused_joins,
)
from services.kernel.sql.schema import Schema

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "select_star": (
        "필요한 열만 고르세요. SELECT * 는 쓰지 않는 열까지 읽습니다.",
        "Name the columns you need: SELECT * reads those nobody uses, too.",
    ),
    "non_sargable": (
        "조건에서 열을 함수나 계산으로 감싸면 통계, 파티션, 인덱스를 쓸 수 없습니다. "
        "열은 그대로 두고 범위로 비교하세요.",
        "A condition on a wrapped column cannot use statistics, partitions or an index: leave the column bare and "
        "compare it with a range.",
    ),
    "leading_wildcard": (
        "% 로 시작하는 LIKE 는 모든 값을 읽습니다.",
        "LIKE with a leading wildcard reads every value.",
    ),
    "cross_join": (
        "조인 조건이 없어 두 테이블의 모든 행이 곱해집니다.",
        "Nothing joins these tables, so every row of one meets every row of the other.",
    ),
    "needless_distinct": (
        "결과 행이 이미 서로 다르므로 DISTINCT 는 정렬·해시 작업만 더합니다.",
        "The rows are distinct already, so DISTINCT only adds work.",
    ),
    "correlated_subquery": (
        "바깥 행마다 다시 계산되는 하위 질의입니다. 조인이나 윈도우 함수로 한 번에 계산할 수 있습니다.",
        "This subquery depends on the outer row; a join or a window function computes it once.",
    ),
    "missing_partition_filter": (
        "파티션 열에 조건이 없어 테이블 전체를 읽습니다.",
        "No condition on the partitioning column, so the whole table is read.",
    ),
    "or_join": (
        "OR 로 묶은 조인 조건은 해시 조인을 못 해 모든 쌍을 비교합니다. 두 조인의 UNION ALL 로 나누세요.",
        "A join condition with OR cannot be hashed, so every pair is compared: split it into a UNION ALL of two joins.",
    ),
    "count_for_existence": (
        "있는지만 알면 되는데 모두 셉니다. EXISTS 를 쓰세요.",
        "All rows are counted only to see whether there is one: use EXISTS.",
    ),
    "order_in_subquery": (
        "하위 질의의 정렬은 바깥 질의에서 사라집니다.",
        "The query around it loses a subquery's order, so sorting there is wasted.",
    ),
    "cast_join_key": (
        "조인 키를 변환하면 통계와 인덱스를 쓸 수 없습니다. 같은 형이면 그대로 비교하세요.",
        "Converted join keys cannot use statistics or an index: compare columns of one type as they are.",
    ),
    "unused_join": (
        "키로 이은 LEFT JOIN 의 열을 쓰지 않습니다. 결과에 영향이 없으니 빼세요.",
        "Nothing of this LEFT JOIN on a key is used, so it changes nothing: leave it out.",
    ),
    "union_distinct": (
        "UNION 은 중복을 제거합니다. 중복이 없거나 상관없다면 UNION ALL 이 더 빠릅니다.",
        "UNION removes duplicates; where there are none, or they do not matter, UNION ALL is cheaper.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """``code``: a key of ``TEXTS``. ``excerpt``: the part of the query, as SQL."""

    code: str
    excerpt: str
    ko: str
    en: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def find(tree: exp.Expr, schema: Schema, partitions: Mapping[str, str]) -> list[Finding]:
    """Every anti-pattern in ``tree``, each part named once. ``partitions``: table -> partitioning column."""
    seen: dict[tuple[str, str], Finding] = {}
    for code, node in _all(tree, schema, partitions):
        excerpt = node.sql(dialect="duckdb")[:200]
        ko, en = TEXTS[code]
        seen.setdefault((code, excerpt), Finding(code, excerpt, ko, en))
    return list(seen.values())


def _all(tree: exp.Expr, schema: Schema, partitions: Mapping[str, str]) -> Iterator[tuple[str, exp.Expr]]:
    for select in tree.find_all(exp.Select):
        if any(isinstance(part, exp.Star) or part.is_star for part in select.expressions):
            yield "select_star", select
        yield from (("cross_join", join) for join in _unjoined(select))
        if needless_distinct(select, schema):
            yield "needless_distinct", select
    for where in tree.find_all(exp.Where, exp.Having):
        yield from _conditions(where)
    for union in tree.find_all(exp.Union):
        if type(union) is exp.Union and union.args.get("distinct"):
            yield "union_distinct", union
    yield from _changed_by(tree, schema)
    yield from (("correlated_subquery", query) for query in correlated(tree, schema))
    yield from (("missing_partition_filter", table) for table in _unfiltered(tree, partitions))


def _changed_by(tree: exp.Expr, schema: Schema) -> Iterator[tuple[str, exp.Expr]]:
    """What a rule would change is what is wrong."""
    for join in tree.find_all(exp.Join):
        condition = join.args.get("on")
        if condition is not None and isinstance(condition.unnest(), exp.Or):
            yield "or_join", condition
    for code, rule in (
        ("cast_join_key", bare_join_keys),
        ("count_for_existence", exists_for_count),
        ("order_in_subquery", without_inner_order),
        ("unused_join", without_unused_joins),
    ):
        if rule(tree.copy(), schema) != tree:
            yield code, tree


def _conditions(where: exp.Expr) -> Iterator[tuple[str, exp.Expr]]:
    for comparison in where.find_all(exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In):
        left, others = comparison.this, [v for k, v in comparison.args.items() if k != "this"]
        sides = [left, comparison.args.get("expression")]
        for side in sides:
            if isinstance(side, exp.Expr) and _wraps_column(side) and _has_constant(comparison, side, others):
                yield "non_sargable", comparison
                break
    for like in where.find_all(exp.Like, exp.ILike):
        pattern = like.expression
        if isinstance(pattern, exp.Literal) and pattern.is_string and pattern.name[:1] in "%_" and pattern.name:
            yield "leading_wildcard", like


def _wraps_column(side: exp.Expr) -> bool:
    if isinstance(side, exp.Column) or side.find(exp.AggFunc, exp.Subquery, exp.Select, exp.Window):
        return False
    return isinstance(side, exp.Func | exp.Cast | exp.Binary | exp.Extract) and side.find(exp.Column) is not None


def _has_constant(comparison: exp.Expr, side: exp.Expr, others: list[Any]) -> bool:
    """The other side holds no column, so the column could stand alone on its own."""
    rest = [part for part in (comparison.this, *others) if part is not side]
    flat = [part for entry in rest for part in (entry if isinstance(entry, list) else [entry])]
    return all(not (isinstance(part, exp.Expr) and part.find(exp.Column)) for part in flat)


def _unjoined(select: exp.Select) -> Iterator[exp.Expr]:
    where = select.args.get("where")
    for join in select.args.get("joins") or ():
        if join.args.get("on") or join.args.get("using") or join.method in ("NATURAL", "ASOF"):
            continue
        if isinstance(join.this, exp.Unnest | exp.Lateral) or join.this.find(exp.Unnest):
            continue
        name = join.this.alias_or_name
        linked = where is not None and any(
            {column.table for column in condition.find_all(exp.Column)} - {name, ""}
            and name in {column.table for column in condition.find_all(exp.Column)}
            for condition in where.find_all(exp.EQ)
        )
        if not linked:
            yield join


def needless_distinct(select: exp.Select, schema: Schema) -> bool:
    """One table without joins whose whole key is selected, or every grouping expression is."""
    distinct = select.args.get("distinct")
    if distinct is None or distinct.args.get("on"):
        return False
    shown = {part.unalias().sql(dialect="duckdb").lower() for part in select.expressions}
    group = select.args.get("group")
    if group is not None:
        keys = [key.sql(dialect="duckdb").lower() for key in group.expressions]
        return bool(keys) and set(keys) <= shown
    source = select.args.get("from_") or select.args.get("from")
    if source is None or select.args.get("joins") or not isinstance(source.this, exp.Table):
        return False
    table = next((t for t in schema.tables if t.name.lower() == source.this.name.lower()), None)
    if table is None or not table.primary_key:
        return False
    columns = {c.name.lower() for c in select.expressions for c in [c.unalias()] if isinstance(c, exp.Column)}
    return {name.lower() for name in table.primary_key} <= columns


def correlated(tree: exp.Expr, schema: Schema) -> list[exp.Expr]:
    """Subqueries that use columns of the query around them."""
    if build_scope(tree) is None:
        return []
    columns = {table.name.lower(): {column.name.lower() for column in table.columns} for table in schema.tables}
    found = []
    for scope in traverse_scope(tree):
        own = {
            name
            for source in scope.sources.values()
            if isinstance(source, exp.Table)
            for name in columns.get(source.name.lower(), ())
        }
        # A bare name belongs to the nearest query that has it.
        outer = [column for column in scope.external_columns if column.table or column.name.lower() not in own]
        if scope.is_subquery and outer:
            found.append(scope.expression)
    return found


def _unfiltered(tree: exp.Expr, partitions: Mapping[str, str]) -> Iterator[exp.Expr]:
    for table in tree.find_all(exp.Table):
        column = partitions.get(table.name.lower())
        select = table.find_ancestor(exp.Select)
        if column is None or select is None:
            continue
        where = select.args.get("where")
        ons = [join.args["on"] for join in select.args.get("joins") or () if join.args.get("on")]
        filtered = any(
            part.name.lower() == column
            for node in (where, *ons)
            if node is not None
            for part in node.find_all(exp.Column)
        )
        if not filtered:
            yield table
