"""States and fitted models as JSON, and back: checked, so that a damaged artefact is refused, never served."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import astuple
from typing import Any

from services.insights.model.features import FEATURES
from services.insights.model.items import ItemBank
from services.insights.model.knowledge import SLOPED, Blend, Knowledge, Linear
from services.insights.model.networks import Networks
from services.insights.model.population import Population
from services.insights.model.score import TERMS, ScoreRule
from services.insights.model.state import Item, ItemState, LearnerState, SkillState
from services.insights.model.trees import Trees

FORMAT = 3


class BrokenArtefact(ValueError):
    """These bytes are not a model this service can use; the message says why."""


def state_to_json(state: LearnerState) -> str:
    scalars = [state.answered, state.correct, state.mean, state.variance, state.fast, state.slow, state.run, state.at]
    document = {
        "s": [*scalars, state.peers, state.peers_recent, state.context],
        "r": state.recent,
        "l": state.last_skills,
        "k": {name: astuple(skill) for name, skill in state.skills.items()},
        "i": {name: astuple(item) for name, item in state.items.items()},
    }
    return json.dumps(document, separators=(",", ":"))


def state_from_json(text: str) -> LearnerState:
    document = json.loads(text)
    answered, correct, mean, variance, fast, slow, run, at, peers, peers_recent, context = document["s"]
    return LearnerState(
        *(answered, correct, mean, variance, fast, slow, run, at, peers, peers_recent, context),
        recent=[(name, residual) for name, residual in document["r"]],
        last_skills=tuple(document["l"]),
        skills={name: SkillState(*values) for name, values in document["k"].items()},
        items={name: ItemState(*values) for name, values in document["i"].items()},
    )


def artefact(knowledge: Knowledge, population: Population) -> bytes:
    """UTF-8 JSON of the model, sealed with its own digest."""
    trees = knowledge.trees
    content = {
        "format": FORMAT,
        "features": list(FEATURES),
        "base": knowledge.bank.base,
        "skills": knowledge.bank.skills,
        "company": [knowledge.bank.skill_peers, knowledge.bank.usual_peer, knowledge.bank.usual_place],
        "items": {item.id: list(astuple(item)[1:]) for item in knowledge.bank.items.values()},
        "linear": list(astuple(knowledge.linear)),
        "trees": None
        if trees is None
        else [trees.baseline, trees.roots, trees.feature, trees.threshold, trees.left, trees.right, trees.value],
        "networks": None if knowledge.networks is None else knowledge.networks.parts(),
        "blend": list(astuple(knowledge.blend)),
        "score_rule": list(astuple(knowledge.score_rule)),
        "population": [population.hours, population.session_minutes, population.paths],
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "model": text}).encode()


def from_artefact(data: bytes) -> tuple[Knowledge, Population]:
    """Raises BrokenArtefact: damaged, of another format, or without sense."""
    try:
        sealed = json.loads(data)
        text = sealed["model"]
        if hashlib.sha256(text.encode()).hexdigest() != sealed["sha256"]:
            raise BrokenArtefact("the model's digest does not match its content")
        return _read(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BrokenArtefact):
            raise
        raise BrokenArtefact(f"the model cannot be read: {type(error).__name__}: {error}") from error


def _read(content: dict[str, Any]) -> tuple[Knowledge, Population]:
    if content["format"] != FORMAT or tuple(content["features"]) != FEATURES:
        raise BrokenArtefact("the model was fitted by another version of this service; run a refit")
    items = {
        name: Item(
            *(name, float(easiness), float(variance), float(answers), tuple(skills), float(skill_easiness)),
            *(float(peer), float(skill_peer), float(near), float(near_weight), float(place)),
            {earlier: (float(slope), float(weight)) for earlier, (slope, weight) in after.items()},
        )
        for name, [easiness, variance, answers, skills, skill_easiness, *company, after] in content["items"].items()
        for peer, skill_peer, near, near_weight, place in (company,)
    }
    trees = Trees(*content["trees"]) if content["trees"] is not None else None
    if trees is not None:
        trees.check(len(FEATURES))
    networks = Networks(*content["networks"]) if content["networks"] is not None else None
    if networks is not None:
        networks.check(len(FEATURES))
    linear = Linear(*content["linear"])
    if len(linear.weights) != len(FEATURES) or any(len(own) != 1 + len(SLOPED) for own in linear.skills.values()):
        raise BrokenArtefact("the linear part has another width than the features")
    blend, rule = Blend(*content["blend"]), ScoreRule(*content["score_rule"])
    parts = 1 + (trees is not None) + (networks is not None)
    if (
        len(blend.settled) != 1 + parts
        or len(blend.early) != 1 + parts
        or any(len(own) != len(TERMS) for own in (rule.center, rule.scale, rule.weights))
    ):
        raise BrokenArtefact("the weights of the model's parts or of its scores are not as many as those")
    numbers = [linear.intercept, *linear.weights, *(weight for own in linear.skills.values() for weight in own)]
    numbers += [*blend.settled, *blend.early, rule.factor, rule.intercept, content["base"]]
    numbers += [*rule.center, *rule.scale, *rule.weights]
    if not all(math.isfinite(number) for number in numbers):
        raise BrokenArtefact("the model holds numbers that are not finite")
    knowledge = Knowledge(
        ItemBank(content["base"], content["skills"], items, *content["company"]),
        linear,
        trees,
        networks,
        blend,
        rule,
    )
    hours, minutes, paths = content["population"]
    return knowledge, Population(hours, minutes, paths)
