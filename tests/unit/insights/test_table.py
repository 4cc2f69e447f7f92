"""The matrix of all items says what the vector of each item says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.insights.model.features import features
from services.insights.model.state import Item, LearnerState, update
from services.insights.model.table import ItemTable

SKILLS = st.lists(st.sampled_from("abcde"), max_size=3, unique=True).map(tuple)
ITEMS = st.lists(SKILLS, min_size=1, max_size=8).map(
    lambda tags: [Item(str(i), i / 3 - 1, 0.1 * (i + 1), i, skills, 0.2) for i, skills in enumerate(tags)]
)


@given(ITEMS, st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30), st.sampled_from([0.0, 5e6]))
@settings(deadline=None)
def test_rows_equal_vectors(items: list[Item], answers: list[tuple[int, bool]], at: float) -> None:
    state = LearnerState()
    for number, (index, correct) in enumerate(answers):
        known = items[index] if index < len(items) else Item("other", 0.0, 0.5, 0, ("z",), 0.0)
        update(state, known, correct, 1e6 + 60 * number if at else 0.0)
    matrix = ItemTable.of(items).matrix(state, at)
    np.testing.assert_allclose(matrix, np.array([features(state, item, at) for item in items]), atol=1e-12)
