"""What an item's company says of it: who takes it, which items are met beside it, and what answers carry over.

Learners do not draw items by lot. A class works on the same sheet, so those who meet an item are alike, items beside
each other are of like difficulty, and what was got wrong on one shows on the next. With a handful of answers per
item, that says as much as the answers themselves. Every figure is shrunk: by ``*_PRIOR`` observations towards what
is usual.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from services.insights.model.history import Answer, History, columns
from services.insights.model.items import ItemBank, fit_items
from services.insights.model.state import RECENT, Item, LearnerState, update

PEER_PRIOR, SKILL_PEER_PRIOR, PLACE_PRIOR, NEAR_PRIOR = 3.0, 5.0, 3.0, 1.0
NEAR = 4
"""How far to either side another item counts as met beside it; its weight is one over the distance."""
LINK_PRIOR = 1.5
LEAST_LINK, MOST_LINKS = 0.3, 40
"""Information (sum of squared residuals) below which a link is forgotten, and how many an item keeps."""


@dataclass(slots=True)
class _Mean:
    total: float = 0.0
    weight: float = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        self.total += weight * value
        self.weight += weight

    def shrunk(self, usual: float, prior: float) -> float:
        return (self.total + prior * usual) / (self.weight + prior)


def _means() -> defaultdict[str, _Mean]:
    return defaultdict(_Mean)


@dataclass(slots=True)
class _Company:
    """``links``: per item and item before it, sums of the products of residuals and of the earlier one's square."""

    peer: defaultdict[str, _Mean] = field(default_factory=_means)
    skill_peer: defaultdict[str, _Mean] = field(default_factory=_means)
    near: defaultdict[str, _Mean] = field(default_factory=_means)
    place: defaultdict[str, _Mean] = field(default_factory=_means)
    everybody: _Mean = field(default_factory=_Mean)
    anywhere: _Mean = field(default_factory=_Mean)
    links: defaultdict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(dict))


def fit_bank(history: History, learners: Iterable[str]) -> ItemBank:
    """Easiness and company of every item that ``learners`` answered."""
    names = list(learners)
    bank = fit_items(columns(history, names))
    company = _Company()
    for name in names:
        _follow(company, history[name], bank)
    usual_peer = company.everybody.shrunk(0.0, 1.0)
    usual_place = company.anywhere.shrunk(0.0, 1.0)
    skill_peers = {name: mean.shrunk(usual_peer, SKILL_PEER_PRIOR) for name, mean in sorted(company.skill_peer.items())}
    bank = replace(bank, skill_peers=skill_peers, usual_peer=usual_peer, usual_place=usual_place)
    return replace(bank, items={name: _in_company(item, bank, company) for name, item in bank.items.items()})


def _follow(company: _Company, answers: Sequence[Answer], bank: ItemBank) -> None:
    state = LearnerState()
    items = [bank.items[answer.item] for answer in answers]
    residuals: list[float] = []
    for position, (item, answer) in enumerate(zip(items, answers, strict=True)):
        residuals.append(update(state, item, answer.correct, answer.at))
        company.place[item.id].add(math.log1p(position))
        company.anywhere.add(math.log1p(position))
        links = company.links[item.id]
        for earlier in range(max(0, position - RECENT), position):
            sums = links.setdefault(items[earlier].id, [0.0, 0.0])
            sums[0] += residuals[earlier] * residuals[position]
            sums[1] += residuals[earlier] ** 2
        for earlier in range(max(0, position - NEAR), position):
            other, weight = items[earlier], 1 / (position - earlier)
            if other.id != item.id:
                company.near[item.id].add(other.easiness - other.skill_easiness, weight)
                company.near[other.id].add(item.easiness - item.skill_easiness, weight)
    for item in items:
        company.peer[item.id].add(state.mean)
        company.everybody.add(state.mean)
        for skill in item.skills:
            company.skill_peer[skill].add(state.mean)


def _in_company(item: Item, bank: ItemBank, company: _Company) -> Item:
    skill_peer = bank.skill_peer(item.skills)
    near = company.near[item.id]
    links = [
        (earlier, (product / (square + LINK_PRIOR), square))
        for earlier, (product, square) in company.links[item.id].items()
        if square > LEAST_LINK
    ]
    links.sort(key=lambda link: (-link[1][1], link[0]))
    return replace(
        item,
        peer=company.peer[item.id].shrunk(skill_peer, PEER_PRIOR),
        skill_peer=skill_peer,
        near=near.shrunk(0.0, NEAR_PRIOR),
        near_weight=near.weight,
        place=company.place[item.id].shrunk(bank.usual_place, PLACE_PRIOR),
        after=dict(links[:MOST_LINKS]),
    )
