"""The kinds of mistake that an answer may make, and the clauses where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Clause: TypeAlias = Literal[
    "select", "distinct", "from", "where", "group_by", "having", "order_by", "limit", "set_operation"
]
MistakeKind: TypeAlias = Literal[
    "wrong_join_type",
    "wrong_join_condition",
    "wrong_tables",
    "missing_distinct",
    "needless_distinct",
    "nulls_ignored",
    "boundary_off_by_one",
    "missing_condition",
    "needless_condition",
    "wrong_condition",
    "ungrouped_column",
    "wrong_grouping",
    "wrong_aggregate",
    "ties_in_top_n",
    "wrong_limit",
    "wrong_order",
    "wrong_columns",
    "wrong_expression",
    "wrong_set_operation",
    "depends_on_row_order",
    "missing_rows",
    "extra_rows",
    "wrong_rows",
]


@dataclass(frozen=True)
class Mistake:
    """``clause``: where, or "" when no single clause is to blame. ``confirmed``: putting the reference's clause in its
    place makes the answer right on the counterexample. ``parameters``: what a text about it may mention, taken from
    the learner's own query or from counts; never a part of the reference.
    """

    kind: MistakeKind
    clause: Clause | Literal[""]
    confirmed: bool = False
    parameters: Mapping[str, str | int] = field(default_factory=dict)
