"""The local classifier: its figures on requests it has not seen, odd texts, few labels, and broken artefacts."""

import json

import numpy as np
import pytest

from contracts.problems import LocaleText
from scripts.evaluate_triage import Tally, agreement
from services.assistant.triage.features import MAX_CHARACTERS, KeywordGroup, pieces, read
from services.assistant.triage.heads import Head, probabilities_of
from services.assistant.triage.model import BrokenModel, TriageModel
from services.assistant.triage.requests import Local, combined
from services.assistant.triage.taxonomy import SHIPPED, Example, Label, Split, Taxonomy, load_all, read_examples
from services.assistant.triage.training import train


def test_the_half_kept_for_testing_meets_the_figures(maintenance: Taxonomy, classifier: TriageModel) -> None:
    """The keywords' author knew these requests: ``fresh`` says how it does on others."""
    tally = Tally()
    tally.add(classifier, read_examples(SHIPPED / maintenance.requests, "test"))
    report = tally.report(maintenance, priorities=True)
    assert report["texts"] >= 150
    assert report["category"] >= 0.90
    assert report["priority"] >= 0.87
    assert max(report["category_ece"], report["priority_ece"]) <= 0.05
    assert report["asked_of_a_model"] <= 0.40
    assert min(report["with_a_model_that_is_right"].values()) >= 0.95


def test_requests_written_apart_from_everything_stay_above_the_floor(
    maintenance: Taxonomy, classifier: TriageModel
) -> None:
    """Below the goals by what a few hundred texts may be off by chance; the evaluation reports the figures."""
    tally = Tally()
    tally.add(classifier, read_examples(SHIPPED / "building_maintenance_fresh.csv", "fresh"))
    report = tally.report(maintenance, priorities=True)
    assert report["category"] >= 0.85
    assert report["priority"] >= 0.85
    assert report["asked_of_a_model"] <= 0.40
    assert min(report["with_a_model_that_is_right"].values()) >= 0.95


@pytest.mark.parametrize("split", ["test", "development", "fresh"])
def test_no_request_kept_apart_is_trained_on(maintenance: Taxonomy, split: Split) -> None:
    file = maintenance.requests if split == "test" else f"building_maintenance_{split}.csv"
    kept = {example.text for example in read_examples(SHIPPED / file, split)}
    assert len(kept) >= 100
    assert not kept & {example.text for example in maintenance.examples}


def test_the_two_labellings_are_reported_with_every_disagreement(maintenance: Taxonomy) -> None:
    report = agreement(SHIPPED / maintenance.requests)
    assert report["texts"] >= 300
    different = [
        row
        for row in report["disagreements"]
        if row["first_category"] != row["second_category"] or row["first_priority"] != row["second_priority"]
    ]
    assert different == report["disagreements"]
    assert report["category"]["kappa"] < report["category"]["equal"] <= 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("엘리베이터가 멈췄어요", ("other", "high")),
        ("The elevator has stopped between floors", ("other", "high")),
        ("세면대 밑에서 누수가 생겼어요", ("plumbing", "high")),
        ("콘센트에서 불꽃이 튀어요", ("electrical", "high")),
        ("복도 전등이 깜빡여요", ("electrical", "medium")),
    ],
)
def test_telling_requests_come_out_right(classifier: TriageModel, text: str, expected: tuple[str, str]) -> None:
    category, priority = classifier.answer(text)
    assert (category.labels[0], priority.labels[0]) == expected
    assert category.why
    assert all(reason.weight > 0 for reason in category.why)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "😱😱😱",
        "물이 새요 😱 HELP ｆｕｌｌ ｗｉｄｔｈ",
        "\u202eabc\u200b",
        "가" * 1_000_000,
        "a " * 500_000,
        "\x00\ud800",
        "\ufdfa" * 1_000_000,
    ],
    ids=["empty", "blank", "emoji", "mixed", "marks", "one long word", "many words", "broken", "one as eighteen"],
)
def test_any_text_gets_an_answer_with_its_doubt(classifier: TriageModel, text: str) -> None:
    for guess in classifier.answer(text):
        assert sum(guess.probabilities.values()) == pytest.approx(1.0, abs=1e-4)
        assert guess.confidence == max(guess.probabilities.values())
    assert len(read(text).flat) <= 3 * MAX_CHARACTERS


@pytest.mark.parametrize(
    ("word", "first", "count"), [("", "  ", 1), ("a", " a ", 1), ("무", " \u1106\u116e", 3), ("the", " th", 6)]
)
def test_a_word_is_cut_into_letters_with_its_edges(word: str, first: str, count: int) -> None:
    found = list(pieces(word))
    assert (found[0], len(found)) == (first, count)


def test_a_stem_is_the_same_before_every_ending() -> None:
    assert len(set(pieces("켜요")) & set(pieces("켜짐"))) > len(set(pieces("켜요")) & set(pieces("꺼짐")))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The ant is here", {"ant", "the ant"}),
        ("an antique", set()),
        ("tv가 안 나와요", {"tv"}),
        ("leaking", {"leak"}),
        ("물 이 새요", {"물이 새"}),
    ],
)
def test_short_latin_keywords_stand_for_themselves_and_others_for_what_begins_with_them(
    text: str, found: set[str]
) -> None:
    group = KeywordGroup.of("any", ["ant", "tv", "leak", "the ant", "물이 새"])
    assert {group.keywords[i] for i in group.found_in(read(text))} == found


@pytest.mark.parametrize("multiple", [False, True])
def test_the_first_answer_stays_the_most_probable_one_whatever_its_calibration(multiple: bool) -> None:
    scores = np.array([[0.1, 0.0, -0.1], [-2.0, -1.0, 3.0]], dtype=np.float32)
    weights = np.zeros((3, 1), dtype=np.float32)
    head = Head(("a", "b", "c"), weights, weights[:, 0], 2.0, 0.0, 0.0, multiple, sure_slope=1.0, sure_intercept=-5.0)
    found = probabilities_of(scores, head)
    assert (found[[0, 1], [0, 2]] == found.max(axis=1)).all()
    assert ((found >= 0) & (found <= 1)).all()
    if not multiple:
        assert found.sum(axis=1) == pytest.approx(1.0)


def test_the_calibration_error_is_reported_beside_that_of_a_calibrated_classifier(
    maintenance: Taxonomy, classifier: TriageModel
) -> None:
    tally = Tally()
    tally.add(classifier, read_examples(SHIPPED / maintenance.requests, "test")[:20])
    report = tally.report(maintenance, priorities=True)
    sure = [local.priority.confidence for _, local in tally.guesses]
    assert 0 < report["priority_ece_if_calibrated"] < 2 * (1 - sum(sure) / len(sure)) + 1e-4


def test_what_says_nothing_is_not_sure(classifier: TriageModel) -> None:
    assert not Local.of(classifier, "zzz qqq").sure


def test_an_artefact_answers_as_the_classifier_it_was_made_of(classifier: TriageModel) -> None:
    again = TriageModel.from_bytes(classifier.to_bytes())
    for text in ("물이 새요", "The lights flicker", "감사합니다"):
        assert again.answer(text) == classifier.answer(text)
    assert again.version == classifier.version


@pytest.mark.parametrize("damage", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 100], ids=["empty", "text", "zip"])
def test_a_broken_artefact_is_refused(damage: bytes) -> None:
    with pytest.raises(BrokenModel):
        TriageModel.from_bytes(damage)


def test_a_cut_artefact_is_refused(classifier: TriageModel) -> None:
    whole = classifier.to_bytes()
    with pytest.raises(BrokenModel):
        TriageModel.from_bytes(whole[: len(whole) // 2])


def _taxonomy(categories: list[str], examples: list[Example], *, multiple: bool = False) -> Taxonomy:
    def label(name: str) -> Label:
        return Label(name=name, title=LocaleText(ko=name, en=name))

    return Taxonomy(
        name="small",
        title=LocaleText(ko="", en=""),
        multiple=multiple,
        categories=tuple(map(label, categories)),
        priorities=(label("low"), label("high")),
        examples=tuple(examples),
    )


def test_one_category_is_enough() -> None:
    examples = [
        Example(text="a b", category="only", priority="low"),
        Example(text="c", category="only", priority="high"),
    ]
    category, _ = train(_taxonomy(["only"], examples)).answer("whatever")
    assert category.labels == ("only",)
    assert category.confidence == pytest.approx(1.0)


def test_several_categories_may_hold_at_once() -> None:
    texts = {"red": "apple cherry", "blue": "sky sea", "red|blue": "apple sky"}
    examples = [
        Example(text=f"{text} {n}", category=category, priority="low")
        for category, text in texts.items()
        for n in range(8)
    ]
    category, _ = train(_taxonomy(["red", "blue"], examples, multiple=True)).answer("apple sky")
    assert set(category.labels) == {"red", "blue"}


def test_a_correction_changes_what_the_next_training_answers(maintenance: Taxonomy) -> None:
    text = "분수대 펌프실 문의"
    some = maintenance.model_copy(update={"examples": maintenance.examples[::10]})
    before = train(some).answer(text)[0].labels[0]
    wanted = "cleaning" if before != "cleaning" else "hvac"
    corrections = [Example(text=text, category=wanted, priority="low")]
    assert train(some, corrections).answer(text)[0].labels[0] == wanted


def test_a_correction_outside_the_taxonomy_is_refused(maintenance: Taxonomy) -> None:
    with pytest.raises(ValueError, match="gardening"):
        train(maintenance, [Example(text="x", category="gardening", priority="low")])


def test_a_models_word_moves_the_probability_by_bayes_rule(classifier: TriageModel) -> None:
    guess, _ = classifier.answer("zzz qqq")
    for name in classifier.category.labels:
        after = combined(guess, classifier.category, [name], 0.93)
        assert after.probabilities[name] > guess.probabilities[name]
        assert sum(after.probabilities.values()) == pytest.approx(1.0)
    assert combined(guess, classifier.category, ["no such label"], 0.93) == guess


def test_every_shipped_taxonomy_can_be_trained() -> None:
    taxonomies = load_all((SHIPPED,))
    assert {"building_maintenance", "learner_support"} <= set(taxonomies)
    for taxonomy in taxonomies.values():
        assert {name for example in taxonomy.examples for name in example.categories} == set(taxonomy.category_names)
        assert all(label.title.ko and label.title.en for label in (*taxonomy.categories, *taxonomy.priorities))
        assert json.loads(taxonomy.model_dump_json())["name"] == taxonomy.name
