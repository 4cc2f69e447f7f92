"""Column names that may be shown to somebody who must not see the query they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# A column without an alias is called by its expression's text: it holds brackets, operators, quotes or, for CASE, two
# blanks in a row. A name that looks like words is an alias or a table's column.
_WORDS: Final = re.compile(r"\w+(?: \w+)*")


def shown_columns(columns: Sequence[str]) -> list[str]:
    """``columns`` with "column n" (from 1) in place of those that quote an expression."""
    return [name if _WORDS.fullmatch(name) else f"column {position}" for position, name in enumerate(columns, 1)]
