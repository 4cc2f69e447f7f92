"""The model on learners made by a known rule: it finds what was put in, and refuses what is damaged."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from scripts.evaluate_insights import main
from services.insights.model.codec import BrokenArtefact, artefact, from_artefact, state_from_json, state_to_json
from services.insights.model.company import fit_bank
from services.insights.model.corrections import Correction, corrected
from services.insights.model.evaluation import auc, ece, measured
from services.insights.model.features import FEATURES, features
from services.insights.model.fit import TooLittleHistory, fit
from services.insights.model.history import Answer, columns
from services.insights.model.interactions import BadRow, read_history
from services.insights.model.items import fit_items
from services.insights.model.knowledge import Blend, Knowledge, untrained
from services.insights.model.population import Population
from services.insights.model.state import Item, LearnerState, update
from services.insights.model.trees import Trees, exported

EASINESS = {f"item-{n}": (n - 20) / 8 for n in range(41)}


def history(learners: int, each: int, seed: int) -> dict[str, list[Answer]]:
    dice = random.Random(seed)
    made = {}
    for learner in range(learners):
        ability = dice.gauss(0, 1)
        answers = []
        for _ in range(each):
            item = dice.choice(list(EASINESS))
            chance = 1 / (1 + math.exp(-(ability + EASINESS[item])))
            answers.append(Answer(item, (f"skill-{int(item[5:]) % 4}",), dice.random() < chance))
        made[f"learner-{seed}-{learner}"] = answers
    return made


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return fit(history(90, 50, 2))


def best_auc(test: dict[str, list[Answer]], seed: int) -> float:
    """Of the rule that made the answers, abilities known."""
    dice = random.Random(seed)
    chances, outcomes = [], []
    for answers in test.values():
        ability = dice.gauss(0, 1)
        for answer in answers:
            dice.choice(list(EASINESS))
            dice.random()
            chances.append(1 / (1 + math.exp(-(ability + EASINESS[answer.item]))))
            outcomes.append(int(answer.correct))
    return auc(chances, outcomes)


def test_easiness_is_found_again() -> None:
    made = history(200, 60, 1)
    bank = fit_items(columns(made, made))
    for name, easiness in EASINESS.items():
        assert bank.items[name].easiness == pytest.approx(easiness, abs=5 * math.sqrt(bank.items[name].variance))


def test_predictions_come_near_the_rule_that_made_the_answers(knowledge: Knowledge) -> None:
    test = history(80, 50, 3)
    figures = measured(knowledge, test).figures()
    assert best_auc(test, 3) - 0.03 < figures["auc"] <= best_auc(test, 3) + 0.005
    assert figures["ece"] < 0.03
    assert 0.65 <= figures["interval_coverage"] <= 0.95
    assert figures["recommended_gap"] < 0.06


def test_ability_follows_the_answers_and_grows_certain() -> None:
    item = Item("i", 0.0, 0.05, 100, ("s",), 0.0)
    strong, weak = LearnerState(), LearnerState()
    for _ in range(20):
        update(strong, item, True)
        update(weak, item, False)
    assert strong.mean > 0.5 > -0.5 > weak.mean
    assert strong.mean == pytest.approx(-weak.mean)
    assert strong.variance < LearnerState().variance
    assert strong.skills["s"].correct == 20


def test_corrections_do_not_depend_on_the_order() -> None:
    item = Item("i", 0.3, 0.2, 10, (), 0.3)
    residuals = [0.4, -0.7, 0.1, -0.2]
    one, other = Correction(), Correction()
    for residual in residuals:
        one.add(residual)
    for residual in reversed(residuals):
        other.add(residual)
    assert corrected(item, one).easiness == pytest.approx(corrected(item, other).easiness)
    assert corrected(item, one).easiness < 0.3
    assert corrected(item, None) is item


def test_calibration_error_of_known_cases() -> None:
    assert ece([0.25] * 4, [1, 0, 0, 0]) == 0
    assert ece([0.95] * 10, [0] * 10) == pytest.approx(0.95)


def test_states_and_models_survive_being_written(knowledge: Knowledge) -> None:
    stump = Trees(0.1, [0], [0, -1, -1], [0.5, 0.0, 0.0], [1, 0, 0], [2, 0, 0], [0.0, -1.0, 1.0])
    knowledge = replace(knowledge, trees=stump, blend=Blend([0.1, 0.5, 0.3], [0.2, -0.1, 0.1]))
    state = LearnerState()
    for answer in next(iter(history(1, 50, 5).values())):
        update(state, knowledge.bank.get(answer.item, answer.skills), answer.correct, 5.0)
    assert state_from_json(state_to_json(state)) == state
    again, usual = from_artefact(artefact(knowledge, Population()))
    assert again == knowledge
    assert usual == Population()
    item = knowledge.bank.get("item-3", ("skill-3",))
    assert again.probability(state, item) == knowledge.probability(state, item)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"0", b"1", 1),
        lambda data: b"[]",
        lambda data: b"\xff",
        lambda data: json.dumps({**json.loads(data), "sha256": "0" * 64}).encode(),
    ],
)
def test_a_damaged_artefact_is_refused(damage: object) -> None:
    with pytest.raises(BrokenArtefact):
        from_artefact(damage(artefact(untrained(), Population())))  # type: ignore[operator]


def test_exported_trees_find_what_no_line_can() -> None:
    x = np.random.default_rng(0).normal(size=(1000, 2))
    y = (x[:, 0] > 0) ^ (x[:, 1] > 0)
    booster = HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=20).fit(x, y)
    trees = exported(booster, x)
    assert auc(trees.logits(x).tolist(), y.tolist()) > 0.99
    assert trees.logits(x)[:50].tolist() == pytest.approx([trees.logit(row) for row in x[:50].tolist()])


def test_a_fit_depends_on_its_input_alone() -> None:
    made = history(12, 15, 4)
    assert fit(made) == fit(dict(reversed(made.items())))


def test_company_tells_who_takes_an_item_and_what_follows() -> None:
    """Strong learners take one sheet besides what all take, weak ones another; ``b`` goes as ``a`` went."""
    dice = random.Random(1)
    made = {}
    for number in range(200):
        strong = number % 2 == 0
        sheet = "strong" if strong else "weak"
        first = dice.random() < 0.5
        names = [f"{where}-{n}" for n in range(12) for where in (sheet, "common")]
        others = [Answer(name, ("s",), dice.random() < (0.85 if strong else 0.35)) for name in names]
        made[str(number)] = [Answer("a", (), first), Answer("b", (), first), *others]
    bank = fit_bank(made, made)
    assert bank.items["strong-3"].peer > 0.2 > -0.2 > bank.items["weak-3"].peer
    assert bank.items["b"].after["a"][0] > 0.5
    assert bank.unseen("new", ("s",)).peer == pytest.approx(bank.skill_peer(("s",)))
    right, wrong = LearnerState(), LearnerState()
    for state, correct in ((right, True), (wrong, False)):
        update(state, bank.items["a"], correct)
    carried = [features(state, bank.items["b"])[FEATURES.index("carried")] for state in (right, wrong)]
    assert carried[0] > 0 > carried[1]


def test_too_little_is_refused() -> None:
    with pytest.raises(TooLittleHistory):
        fit(history(3, 5, 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("student,item,correct\n", "skills"),
        ("student,item,skills,correct\n,1,,1\n", "row 1: student"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("student,item,skills,correct,timestamp\na,1,,1,-5\n", "timestamp"),
        (f"student,item,skills,correct\na,1,{'|'.join(map(str, range(99)))},1\n", "64"),
    ],
)
def test_rows_that_cannot_be_read_are_named(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadRow, match=says):
        read_history(path)


def test_the_script_writes_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("train", 7), ("test", 8)):
        lines = ["student,seq,item,skills,correct"]
        for student, answers in history(60, 40, seed).items():
            lines += [f"{student},{n},{a.item},{'|'.join(a.skills)},{a.correct:d}" for n, a in enumerate(answers)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "figures.json"
    assert main(["--train", str(tmp_path / "train.csv"), "--test", str(tmp_path / "test.csv"), "--out", str(out)]) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert {"auc", "log_loss", "ece", "auc_first5", "update_ms_p95", "predict_ms_p95", "score_error"} <= set(figures)
    assert figures["answers"] == 2400
    assert main(["--train", str(tmp_path / "train.csv"), "--folds", "3", "--out", str(out)]) == 0
    pooled = json.loads(out.read_text(encoding="utf-8"))
    assert (pooled["answers"], pooled["learners"], pooled["train_learners"]) == (2400, 60, 40)
    assert sum(fold["answers"] for fold in pooled["folds"]) == 2400
    assert pooled["score_learners"] == 60
    least, *_, most = sorted(fold["log_loss"] for fold in pooled["folds"])
    assert least <= pooled["log_loss"] <= most
    assert main(["--train", str(tmp_path / "none.csv"), "--test", str(out), "--out", str(out)]) == 1
    assert "none.csv" in capsys.readouterr().err
