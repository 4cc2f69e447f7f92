"""Problems on request: candidates are composed, verified, and published until there are enough."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import sqlglot

from services.generator.datasets import build, profile_dataset
from services.generator.datasets.profiles import Profile
from services.generator.datasets.sampling import seeded
from services.generator.datasets.synthesis import synthesize
from services.generator.offline.catalog import Catalog, build_catalog
from services.generator.offline.composer import Composer, Recipe, Unsuitable
from services.generator.offline.concepts import CONCEPTS
from services.generator.offline.draft import Composed, Level, assemble
from services.generator.offline.problem import Problem, Provenance
from services.generator.offline.registry import RECIPES
from services.generator.offline.words import Text
from services.generator.verify.check import Candidate, DropReason, Rejected, Verified
from services.generator.verify.verifiers import SandboxVerifier, Verifier
from services.kernel.errors import PermanentError
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.schema import Schema

EVEN_MIX: Final[Mapping[Level, float]] = {Level.EASY: 1, Level.MEDIUM: 1.4, Level.HARD: 1.2, Level.EXPERT: 0.8}
MAX_COUNT: Final = 500
MAX_ROWS: Final = 1_000_000
# Values of the base data set at most: a table of 1,000 columns gets fewer rows.
_MAX_CELLS: Final = 40_000
_COMPOSE_TRIES: Final = 40
# Problems looked for at a time, so that the mix and the least used recipes are minded as results come in.
_ROUND: Final = 24
# Rounds without a single new problem before the request counts as exhausted.
_BARREN_ROUNDS: Final = 4

OnProgress = Callable[[int, int], None]


class InvalidRequest(PermanentError):
    code = "invalid_request"


@dataclass(frozen=True)
class GenerationRequest:
    """`data_type`: ``pa``, ``stream`` or a name for `schema`, which is required for any other name.

    `profile`: what the schema's columns look like. `mix`: weight per difficulty. `topics`: concept tags or categories;
    empty means all. `locale`: ``ko``, ``en`` or ``both``. `rows`: about how many the base data set has.
    `known_sql`: normalised SQL of problems not to be repeated.
    """

    data_type: str
    count: int
    seed: int
    schema: Schema | None = None
    profile: Profile | None = None
    mix: Mapping[Level, float] = field(default_factory=lambda: dict(EVEN_MIX))
    topics: tuple[str, ...] = ()
    locale: str = "both"
    rows: int = 1_500
    problem_date: date = date(1970, 1, 1)
    known_sql: frozenset[str] = frozenset()

    def check(self) -> None:
        """Raises InvalidRequest naming the field."""
        if not 1 <= self.count <= MAX_COUNT:
            raise InvalidRequest(f"count must be between 1 and {MAX_COUNT}, not {self.count}")
        if not 1 <= self.rows <= MAX_ROWS:
            raise InvalidRequest(f"rows must be between 1 and {MAX_ROWS:,}, not {self.rows:,}")
        if self.locale not in ("ko", "en", "both"):
            raise InvalidRequest(f"locale must be ko, en or both, not {self.locale!r}")
        if not self.mix or any(weight < 0 for weight in self.mix.values()) or not sum(self.mix.values()):
            raise InvalidRequest("mix needs at least one difficulty with a positive weight")
        known = set(CONCEPTS) | {c.category for c in CONCEPTS.values()}
        if unknown := sorted(set(self.topics) - known):
            raise InvalidRequest(f"unknown topics: {', '.join(unknown)}")


@dataclass(frozen=True)
class Drop:
    reason: DropReason
    recipe: str
    detail: str


@dataclass
class GenerationResult:
    """`candidates`: how many were composed. `drops`: why each of the others was not published.

    `shortfall`: a sentence when there are fewer problems than asked for, else empty.
    """

    problems: list[Problem] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    shortfall: str = ""

    @property
    def candidates(self) -> int:
        return len(self.problems) + len(self.drops)

    @property
    def dropped(self) -> Counter[str]:
        """How many candidates were dropped, by reason."""
        return Counter(drop.reason.value for drop in self.drops)


def prepare(request: GenerationRequest) -> tuple[Schema, Dataset]:
    """The request's schema and base data set. Raises InvalidRequest when there is nothing to ask about."""
    if request.schema is None:
        return build(request.data_type, request.seed, max(1_000, request.rows))
    if not request.schema.tables:
        raise InvalidRequest("the schema has no tables")
    width = max(len(table.columns) for table in request.schema.tables)
    rows = max(40, min(request.rows, _MAX_CELLS // width))
    return request.schema, synthesize(request.schema, request.seed, rows, request.profile)


def generate(
    request: GenerationRequest,
    on_progress: OnProgress | None = None,
    verifier: Callable[[Schema, Dataset], AbstractContextManager[Verifier]] = SandboxVerifier,
) -> GenerationResult:
    """Compose, verify and publish up to ``request.count`` problems; the same problems for the same request.

    `on_progress` is told (published, wanted) after every problem; what it raises ends the work. `verifier`: where the
    checks run, SandboxVerifier or InProcessVerifier. Raises InvalidRequest, UnknownDataType or
    UnsupportedType.
    """
    request.check()
    schema, base = prepare(request)
    with verifier(schema, base) as entered:
        return generate_on(request, schema, base, entered, on_progress)


def generate_on(
    request: GenerationRequest,
    schema: Schema,
    base: Dataset,
    verifier: Verifier,
    on_progress: OnProgress | None = None,
) -> GenerationResult:
    """``generate`` on a base data set and a verifier that the caller has: for a batch made in parts, each with a seed
    of its own."""
    return _Run(request, schema, base, verifier, on_progress).result()


class _Run:
    def __init__(
        self,
        request: GenerationRequest,
        schema: Schema,
        base: Dataset,
        verifier: Verifier,
        on_progress: OnProgress | None,
    ) -> None:
        self._request, self._schema, self._base, self._verifier = request, schema, base, verifier
        self._on_progress = on_progress
        self._catalog: Catalog = build_catalog(schema, profile_dataset(schema, base))
        self._result = GenerationResult()
        self._known = set(request.known_sql)
        self._answers: set[str] = set()
        self._titles: Counter[str] = Counter()
        self._levels: Counter[Level] = Counter()
        self._used: Counter[str] = Counter()
        self._barren: Counter[str] = Counter()
        self._serial = 0

    def result(self) -> GenerationResult:
        idle = 0
        while len(self._result.problems) < self._request.count and idle < _BARREN_ROUNDS:
            before = len(self._result.problems)
            self._round()
            idle = 0 if len(self._result.problems) > before else idle + 1
        missing = self._request.count - len(self._result.problems)
        if missing > 0:
            reasons = (
                ", ".join(f"{reason} {n}" for reason, n in self._result.dropped.most_common())
                or "no recipe suits the schema"
            )
            self._result.shortfall = f"{missing} of {self._request.count} problems could not be made ({reasons})"
        return self._result

    def _round(self) -> None:
        """All candidates are composed before the first is judged: the outcome does not depend on who verifies."""
        composed = list(self._compose_round())
        candidates = (Candidate(c.reference_sql, c.ordered, serial) for serial, _, c in composed)
        with closing(self._verifier.outcomes(candidates)) as outcomes:
            for (serial, recipe, item), outcome in zip(composed, outcomes, strict=True):
                if isinstance(outcome, Rejected):
                    self._barren[recipe.name] += 1
                    self._drop(outcome.reason, recipe, outcome.detail)
                else:
                    self._publish(serial, recipe, item, outcome)
                if len(self._result.problems) >= self._request.count:
                    break

    def _compose_round(self) -> Iterator[tuple[int, Recipe, Composed]]:
        for level in self._wanted():
            made = self._compose(level)
            if made is not None:
                yield made

    def _wanted(self) -> list[Level]:
        """The levels of this round: what is missing, and some more for those that will be dropped, mixed."""
        request = self._request
        total = sum(request.mix.values())
        left = request.count - len(self._result.problems)
        missing = {
            level: max(0.0, request.count * weight / total - self._levels[level])
            for level, weight in request.mix.items()
        }
        scale = min(left, _ROUND) * 1.15 / (sum(missing.values()) or 1.0)
        # Each level's candidates are spread evenly over the round, so that cutting it short keeps the mix.
        spread = [
            ((i + 0.5) / amount, level)
            for level, amount in ((level, math.ceil(part * scale)) for level, part in missing.items() if part > 0)
            for i in range(amount)
        ]
        return [level for _, level in sorted(spread, key=lambda pair: pair[0])]

    def _compose(self, level: Level) -> tuple[int, Recipe, Composed] | None:
        for _ in range(_COMPOSE_TRIES):
            self._serial += 1
            rng = seeded("problem", self._request.data_type, self._request.seed, self._serial)
            recipes = [r for r in RECIPES if r.level is level and self._barren[r.name] < 25]
            if not recipes:
                return None
            weights = [1 / (1 + self._used[r.name] + self._barren[r.name]) for r in recipes]
            recipe = rng.choices(recipes, weights)[0]
            try:
                composed = assemble(recipe.compose(Composer(self._catalog, rng)))
            except Unsuitable:
                self._barren[recipe.name] += 1
                continue
            if not self._on_topic(composed):
                continue
            self._used[recipe.name] += 1
            normal = normalised(composed.reference_sql)
            if normal in self._known:
                self._drop(DropReason.DUPLICATE_SQL, recipe, "the same query was made before")
                continue
            self._known.add(normal)
            return self._serial, recipe, composed
        return None

    def _on_topic(self, composed: Composed) -> bool:
        topics = set(self._request.topics)
        return not topics or bool(topics & ({*composed.tags} | {CONCEPTS[tag].category for tag in composed.tags}))

    def _publish(self, serial: int, recipe: Recipe, composed: Composed, verified: Verified) -> None:
        answer = _fingerprint(verified)
        if answer in self._answers:
            self._drop(DropReason.DUPLICATE_RESULT, recipe, "another problem has the same answer")
            return
        self._answers.add(answer)
        problem = self._problem(serial, recipe, composed, verified)
        self._levels[composed.level] += 1
        self._result.problems.append(problem)
        if self._on_progress is not None:
            self._on_progress(len(self._result.problems), self._request.count)

    def _problem(self, serial: int, recipe: Recipe, composed: Composed, verified: Verified) -> Problem:
        request = self._request
        self._titles[composed.title.ko] += 1
        repeated = self._titles[composed.title.ko]
        suffix = Text(f" ({repeated})", f" ({repeated})") if repeated > 1 else Text("", "")
        return Problem(
            problem_date=request.problem_date,
            data_type=request.data_type,
            set_index=len(self._result.problems),
            difficulty=composed.level.value,
            title=self._localised(composed.title + suffix),
            description=self._localised(composed.description),
            initial_sql=composed.initial_sql,
            expected_answer=verified.expected.to_json(),
            hints=(
                self._localised(composed.hints[0]),
                self._localised(composed.hints[1]),
                self._localised(composed.hints[2]),
            ),
            tags=composed.tags,
            ordered=composed.ordered,
            schema=self._schema,
            reference_sql=composed.reference_sql,
            datasets=(self._base, *verified.small),
            mutants=verified.score,
            provenance=Provenance("offline", recipe.name, f"{request.seed}:{serial}"),
        )

    def _localised(self, text: Text) -> Text:
        return Text(text.ko if self._request.locale != "en" else "", text.en if self._request.locale != "ko" else "")

    def _drop(self, reason: DropReason, recipe: Recipe, detail: str) -> None:
        self._result.drops.append(Drop(reason, recipe.name, detail))


def normalised(sql: str) -> str:
    """One spelling for queries that differ in layout, letter case of names or comments only."""
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    tree = normalize_identifiers(sqlglot.parse_one(sql, read="duckdb"), dialect="duckdb")
    return tree.sql(dialect="duckdb", comments=False, identify=True)


def _fingerprint(verified: Verified) -> str:
    """The answer as a bag of rows, whatever its columns are called."""
    rows = sorted(json.dumps(row, ensure_ascii=False) for row in verified.expected.to_json()["rows"])
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
