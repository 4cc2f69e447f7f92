"""The model's parts: each finds what it is there for, one row at a time as all at once, and damage is refused."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from services.insights.model.codec import BrokenArtefact, artefact, from_artefact
from services.insights.model.evaluation import auc
from services.insights.model.features import FEATURES
from services.insights.model.knowledge import Blend, Knowledge, Linear, untrained
from services.insights.model.networks import Networks, tags_of
from services.insights.model.parts import LINEAR, NETWORKS, TREES, Rows, blended, learnt
from services.insights.model.population import Population
from services.insights.model.score import Case, Coming, ScoreRule, covers, fitted_rule, score
from services.insights.model.training import trained

WIDTH = len(FEATURES)


def sheets(size: int, seed: int) -> Rows:
    """The first feature helps on one skill and harms on the other; on both together it does nothing."""
    dice = np.random.default_rng(seed)
    x = np.zeros((size, WIDTH))
    x[:, :4] = dice.normal(size=(size, 4))
    kinds = [("a",), ("b",), ("a", "b")]
    skills = [kinds[kind] for kind in dice.integers(0, 3, size)]
    sign = np.array([{("a",): 3.0, ("b",): -3.0}.get(own, 0.0) for own in skills])
    y = (dice.random(size) < 1 / (1 + np.exp(-sign * x[:, 0]))).astype(float)
    return Rows(x, y, skills)


def with_networks(networks: Networks) -> Knowledge:
    return replace(untrained(), networks=networks, blend=Blend([0.0, 0.5, 0.5], [0.0, 0.0, 0.0]))


def damaged(networks: Networks, **changes: object) -> bytes:
    return artefact(with_networks(replace(networks, **changes)), Population())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def networks() -> Networks:
    rows = sheets(3_000, 0)
    return trained(rows.x, rows.y, rows.skills, 0)


def test_networks_learn_what_depends_on_the_skill(networks: Networks) -> None:
    test = sheets(1_000, 1)
    assert auc(networks.logits(test.x, test.skills).tolist(), test.y.tolist()) > 0.7
    assert auc(networks.logits(test.x, [()] * 1_000).tolist(), test.y.tolist()) < 0.6
    one_by_one = [networks.logit(row, skills) for row, skills in zip(test.x[:20].tolist(), test.skills, strict=False)]
    assert networks.logits(test.x[:20], test.skills[:20]).tolist() == pytest.approx(one_by_one, abs=1e-5)


def test_a_set_of_skills_is_told_from_its_skills(networks: Networks) -> None:
    assert len(networks.tags) == 3
    assert tags_of(("b", "a"))[-1] == tags_of(("a", "b"))[-1]
    assert tags_of(()) == []


def test_networks_survive_being_written(networks: Networks) -> None:
    knowledge, _ = from_artefact(artefact(with_networks(networks), Population()))
    assert knowledge.networks == networks


def test_networks_that_do_not_fit_are_refused(networks: Networks) -> None:
    for changes in (
        {"first": networks.first[1:]},
        {"second": networks.second[:1]},
        {"last": [[0.0]]},
        {"tags": {"a": [1.0]}},
        {"bias": [*networks.bias[1:], 1e39]},
    ):
        with pytest.raises(BrokenArtefact, match=r"networks|inhomogeneous"):
            from_artefact(damaged(networks, **changes))


def test_weights_that_are_missing_are_refused() -> None:
    for changes in ({"blend": Blend([0.0, 1.0, 1.0], [0.0] * 3)}, {"score_rule": ScoreRule(weights=[1.0])}):
        with pytest.raises(BrokenArtefact, match="as many"):
            from_artefact(artefact(replace(untrained(), **changes), Population()))  # type: ignore[arg-type]


def test_a_model_of_another_version_asks_for_a_refit() -> None:
    import hashlib

    content = json.loads(json.loads(artefact(untrained(), Population()))["model"])
    text = json.dumps({**content, "format": 2})
    sealed = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "model": text}).encode()
    with pytest.raises(BrokenArtefact, match="run a refit"):
        from_artefact(sealed)


def test_the_blend_trusts_the_parts_that_know() -> None:
    train, test = sheets(900, 2), sheets(900, 3)
    parts = learnt(train, 0, trees=True, networks=1)
    logits = parts.logits(test.x, test.skills)
    assert logits.shape == (900, 3)
    blend, kept = blended(logits, test)
    assert kept[0] == LINEAR
    parts = parts.only(kept)
    knowledge = replace(untrained(), linear=parts.linear, trees=parts.trees, networks=parts.networks, blend=blend)
    chances = knowledge.of_matrix(test.x, parts.linear.slopes(test.skills), test.skills)
    one_by_one = [
        knowledge.of_vector(row, skills) for row, skills in zip(test.x[:20].tolist(), test.skills, strict=False)
    ]
    assert chances[:20].tolist() == pytest.approx(one_by_one, abs=1e-5)
    assert chances.mean() == pytest.approx(test.y.mean(), abs=0.01)
    assert learnt(train, 0, trees=False, networks=0).logits(test.x, test.skills).shape == (900, 1)


def test_a_part_that_knows_nothing_more_is_left_out() -> None:
    rows = sheets(3_000, 5)
    dice = np.random.default_rng(0)
    truth = np.where(rows.y > 0, 1.0, -1.0) + dice.normal(0, 2, len(rows.y))
    echo = truth + dice.normal(0, 0.01, len(rows.y))
    telling = np.where(rows.y > 0, 1.0, -1.0) + dice.normal(0, 2, len(rows.y))

    blend, kept = blended(np.column_stack([truth, echo, telling]), rows)

    assert kept == [LINEAR, NETWORKS]
    assert (len(blend.settled), len(blend.early)) == (3, 3)
    assert blended(np.column_stack([truth, telling, echo]), rows)[1] == [LINEAR, TREES]


def test_what_holds_at_the_beginning_fades() -> None:
    blend = Blend([0.0, 1.0], [0.5, -0.5])
    answered = [math.log1p(0), math.log1p(5), math.log1p(1_000)]
    one_by_one = [blend.logit([2.0], count) for count in answered]
    assert one_by_one == pytest.approx([1.5, 2 - 0.5 / math.e, 2.0])
    assert blend.logits(np.full((3, 1), 2.0), np.array(answered)).tolist() == pytest.approx(one_by_one)


def test_intervals_from_few_cases_cover_others() -> None:
    """Sixty cases, a rule of many weights: measured on the cases that shaped it, intervals would be too narrow."""
    dice = random.Random(0)

    def case() -> Case:
        matrix = np.zeros((20, WIDTH))
        matrix[:] = [dice.gauss(0, 1) for _ in range(WIDTH)]
        logits = np.array([dice.gauss(0.4, 0.9) for _ in range(20)])
        matrix[:, FEATURES.index("shrunk_logit")] = logits
        shift = dice.gauss(0, 0.5)
        right = sum(dice.random() < 1 / (1 + math.exp(-logit - shift)) for logit in logits)
        return Case(Coming(matrix, 1 / (1 + np.exp(-logits))), 0.25, right / 20)

    covered = []
    for _ in range(20):
        rule = fitted_rule([case() for _ in range(60)])
        for _ in range(50):
            new = case()
            covered.append(covers(score(new.coming, new.variance, rule), new.observed, 20))
    assert 0.77 <= sum(covered) / len(covered) <= 0.87


def test_the_linear_part_alone_ranks_as_it_does_in_the_blend() -> None:
    linear = Linear(0.2, [0.1] * WIDTH)
    x = np.random.default_rng(0).normal(size=(5, WIDTH))
    knowledge = replace(untrained(), linear=linear)
    assert np.argsort(knowledge.quick(x, linear.slopes([()] * 5))).tolist() == np.argsort(x.sum(axis=1)).tolist()
