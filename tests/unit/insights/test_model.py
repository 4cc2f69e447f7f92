"""The model on learners made by a known rule: it finds what was put in, and refuses what is damaged."""

import json
import math
import random
from pathlib import Path

import pytest

from scripts.evaluate_insights import main
from services.insights.model.codec import BrokenArtefact, artefact, from_artefact, state_from_json, state_to_json
from services.insights.model.corrections import Correction, corrected
from services.insights.model.evaluation import auc, ece, report
from services.insights.model.fit import TooLittleHistory, fit
from services.insights.model.history import Answer, columns
from services.insights.model.interactions import BadRow, read_history
from services.insights.model.items import fit_items
from services.insights.model.knowledge import untrained
from services.insights.model.population import Population
from services.insights.model.state import Item, LearnerState, update

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


def test_predictions_come_near_the_rule_that_made_the_answers() -> None:
    test = history(80, 50, 3)
    figures = report(fit(history(110, 50, 2)), test)
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


def test_states_and_models_survive_being_written() -> None:
    made = history(60, 100, 5)
    knowledge = fit(made)
    state = LearnerState()
    for answer in next(iter(made.values())):
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


def test_too_little_is_refused() -> None:
    with pytest.raises(TooLittleHistory):
        fit(history(3, 5, 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("student,item,correct\n", "skills"),
        ("student,item,skills,correct\n,1,,1\n", "row 1: student"),
        ("student,item,skills,correct,timestamp\na,1,,1,-5\n", "timestamp"),
        (f"student,item,skills,correct\na,1,{'|'.join(map(str, range(99)))},1\n", "64"),
    ],
)
def test_rows_that_cannot_be_read_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text, encoding="utf-8")
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
    assert main(["--train", str(tmp_path / "none.csv"), "--test", str(out), "--out", str(out)]) == 1
    assert "none.csv" in capsys.readouterr().err
