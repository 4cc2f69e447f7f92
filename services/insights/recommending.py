"""Which items to try next, and why, in the model's own terms. Pure: a learner and a catalogue in, a list out.

Utility of an item = fit of the success chance to the target + review of a fading skill + what others did next
- new concepts beyond one - what the list already holds of its subject and skills (maximal marginal relevance,
J. Carbonell and J. Goldstein, 1998). The target of .7 follows the requirements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.insights.catalogue import Catalogue
from services.insights.learners import Learner
from services.insights.model.state import SKILL_VARIANCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TARGET = 0.7
SHORTLIST = 40
MOST_SUBJECTS = 100
REVIEW_WEIGHT, PATH_WEIGHT, WEAK_WEIGHT, NEW_PENALTY = 0.25, 0.15, 0.15, 0.2
REPEATED_SUBJECT, REPEATED_SKILL = 0.04, 0.06
FADING_DAYS = 7.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Recommendation:
    """``score``: 0..1, higher is better. ``terms``: what the utility is made of."""

    content_id: str
    score: float
    chance: float
    terms: dict[str, float]
    ko: str
    en: str


def recommend(
    catalogue: Catalogue, learner: Learner, subjects: Sequence[str] | None, limit: int, now: float
) -> list[Recommendation]:
    """At most ``limit`` items that the learner has not seen, best first."""
    import numpy as np

    matrix, slopes = catalogue.table.matrix(learner.state, now), catalogue.table.slopes
    knowledge = catalogue.model.knowledge
    distance = np.abs(knowledge.quick(matrix, slopes) - TARGET)
    for name in learner.state.items:
        if (row := catalogue.table.rows.get(name)) is not None:
            distance[row] = np.inf
    chosen = _shortlist(catalogue, subjects, distance, max(SHORTLIST, 2 * limit))
    if not chosen:
        return []
    follows = _paths(catalogue, learner)
    skill_sets = [catalogue.table.items[row].skills for row in chosen]
    chances = knowledge.of_matrix(matrix[chosen], slopes[chosen], skill_sets).tolist()
    candidates = [
        _candidate(catalogue, learner, row, chance, follows, now) for row, chance in zip(chosen, chances, strict=True)
    ]
    return _pick(catalogue, candidates, limit)


def _shortlist(
    catalogue: Catalogue, subjects: Sequence[str] | None, distance: NDArray[np.float64], size: int
) -> list[int]:
    """Rows of unseen items. Each subject sends those nearest to the target, so that none is crowded out."""
    import numpy as np

    asked = catalogue.subjects if subjects is None else dict.fromkeys(subjects)
    pools = [rows for subject in asked if (rows := catalogue.subjects.get(subject)) is not None]
    chosen: list[int] = []
    for rows in pools[:MOST_SUBJECTS]:
        near = rows[np.argsort(distance[rows], kind="stable")[: max(1, size // len(pools))]]
        chosen.extend(near[np.isfinite(distance[near])].tolist())
    return chosen


@dataclass(slots=True)
class _Candidate:
    row: int
    chance: float
    terms: dict[str, float]
    fading: tuple[str, float] | None
    new: list[str]
    weak: str | None
    base: float


def _candidate(
    catalogue: Catalogue, learner: Learner, row: int, chance: float, follows: dict[str, float], now: float
) -> _Candidate:
    entry = catalogue.entries[row]
    fading: tuple[str, float] | None = None
    weak: tuple[str, float] | None = None
    new = []
    for name in entry.skills:
        skill = learner.state.skills.get(name)
        if skill is None:
            new.append(name)
            continue
        days = (now - skill.at) / DAY if skill.at > 0 else 0.0
        if days >= FADING_DAYS and (fading is None or days > fading[1]):
            fading = name, days
        if skill.mean < 0 and (weak is None or skill.mean < weak[1]):
            weak = name, skill.mean
    certainty = 1 - learner.state.skills[weak[0]].variance / SKILL_VARIANCE if weak else 0.0
    terms = {
        "difficulty_fit": 1 - abs(chance - TARGET) / TARGET,
        "review": REVIEW_WEIGHT * min(1.0, fading[1] / 30) if fading else 0.0,
        "path": PATH_WEIGHT * follows.get(entry.id, 0.0),
        "weakness": WEAK_WEIGHT * min(1.0, -weak[1]) * max(certainty, 0.0) if weak else 0.0,
        # One new concept at a time: the others are its prerequisites, met before. A blank learner has met none.
        "new_concepts": -NEW_PENALTY * max(0, len(new) - 1) if learner.version else -0.05 * max(0, len(new) - 1),
    }
    return _Candidate(row, chance, terms, fading, new, weak[0] if weak else None, sum(terms.values()))


def _paths(catalogue: Catalogue, learner: Learner) -> dict[str, float]:
    """What learners went on to after solving what this one solved: the largest share per item."""
    follows: dict[str, float] = {}
    for name, tried in learner.state.items.items():
        if tried.correct:
            for following, share in catalogue.model.population.paths.get(name, ()):
                follows[following] = max(share, follows.get(following, 0.0))
    return follows


def _pick(catalogue: Catalogue, candidates: list[_Candidate], limit: int) -> list[Recommendation]:
    subjects: Counter[str] = Counter()
    skills: Counter[str] = Counter()
    picked = []
    left = list(candidates)
    for _ in range(min(limit, len(left))):

        def utility(candidate: _Candidate) -> tuple[float, str]:
            entry = catalogue.entries[candidate.row]
            repeated = REPEATED_SUBJECT * subjects[entry.subject]
            most = 0
            for name in entry.skills:
                most = max(most, skills[name])
            return candidate.base - repeated - REPEATED_SKILL * most, entry.id

        best = max(left, key=utility)
        left.remove(best)
        entry = catalogue.entries[best.row]
        value = utility(best)[0]
        terms = {**best.terms, "balance": value - best.base}
        subjects[entry.subject] += 1
        skills.update(entry.skills)
        ko, en = _reason(best)
        picked.append(Recommendation(entry.id, max(0.0, min(1.0, value / 1.4)), best.chance, terms, ko, en))
    return picked


def _reason(candidate: _Candidate) -> tuple[str, str]:
    """Every clause states a term that is not zero."""
    percent = round(100 * candidate.chance)
    ko = [f"맞힐 확률이 {percent}%로 예상됩니다"]
    en = [f"your chance of success is about {percent} %"]
    if candidate.terms["review"] > 0 and candidate.fading:
        name, days = candidate.fading
        ko.append(f"'{name}'을(를) {days:.0f}일 동안 풀지 않아 복습할 때입니다")
        en.append(f"'{name}' was last practised {days:.0f} days ago and is due for review")
    if candidate.terms["weakness"] > 0 and candidate.weak:
        ko.append(f"'{candidate.weak}'이(가) 다른 개념보다 약합니다")
        en.append(f"'{candidate.weak}' is weaker than your other concepts")
    if candidate.terms["path"] > 0:
        ko.append("같은 문제를 푼 학습자들이 이어서 푼 문제입니다")
        en.append("learners who solved what you solved went on to it")
    if len(candidate.new) == 1:
        ko.append(f"새 개념은 '{candidate.new[0]}' 하나입니다")
        en.append(f"it adds one new concept, '{candidate.new[0]}'")
    elif candidate.new:
        ko.append(f"새 개념이 {len(candidate.new)}개 있습니다")
        en.append(f"it holds {len(candidate.new)} new concepts")
    return ", ".join(ko) + ".", _sentence(en)


def _sentence(clauses: list[str]) -> str:
    text = "; ".join(clauses)
    return text[0].upper() + text[1:] + "."
