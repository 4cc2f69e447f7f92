"""The matrix of all items says what the vector of each item says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.insights.model.features import FEATURES, features
from services.insights.model.knowledge import Linear
from services.insights.model.state import Item, LearnerState, update
from services.insights.model.table import ItemTable

SKILLS = st.lists(st.sampled_from("abcde"), max_size=3, unique=True).map(tuple)
LINEAR = Linear(0.1, [0.01] * len(FEATURES), {"a": [0.5, 1.0, -1.0, 0.2, 0.3, -0.4], "b": [-0.2] * 6})
LINKS = st.dictionaries(st.sampled_from("0123"), st.tuples(st.floats(-1, 1), st.floats(0.3, 9)), max_size=3)
ITEMS = st.lists(st.tuples(SKILLS, LINKS), min_size=1, max_size=8).map(
    lambda made: [
        Item(*(str(i), i / 3 - 1, 0.1 * (i + 1), i, skills, 0.2), *(i / 9, 0.3, i / 7, i / 2, 1.5), links)
        for i, (skills, links) in enumerate(made)
    ]
)


@given(ITEMS, st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30), st.sampled_from([0.0, 5e6]))
@settings(deadline=None)
def test_rows_equal_vectors(items: list[Item], answers: list[tuple[int, bool]], at: float) -> None:
    state = LearnerState()
    for number, (index, correct) in enumerate(answers):
        known = items[index] if index < len(items) else Item("other", 0.0, 0.5, 0, ("z",), 0.0)
        update(state, known, correct, 1e6 + 60 * number if at else 0.0)
    table = ItemTable.of(items, LINEAR)
    matrix = table.matrix(state, at)
    vectors = [features(state, item, at) for item in items]
    np.testing.assert_allclose(matrix, np.array(vectors), atol=1e-12)
    logits = [LINEAR.logit(vector, item.skills) for vector, item in zip(vectors, items, strict=True)]
    np.testing.assert_allclose(LINEAR.logits(matrix, table.slopes), logits, atol=1e-9)
