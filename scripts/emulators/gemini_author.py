"""Plays the models that write and solve problems, behind the Gemini stub.

What it writes are real problems of the offline generator, retold as a model's drafts; tests bend single drafts or
solutions where they want something to go wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from scripts.emulators.gemini import Reply, Request, error, good
from services.generator.offline.generate import GenerationRequest, generate
from services.generator.verify.verifiers import InProcessVerifier

Drafted = dict[str, Any]

_COUNT = re.compile(r"^(?:Write|Repair these) (\d+) problems")


def drafts_like_a_models(count: int, *, data_type: str = "pa", seed: int = 4_711, rows: int = 1_000) -> list[Drafted]:
    """Drafts that passed every check on one data set of ``data_type``; nearly all pass on others."""
    request = GenerationRequest(data_type=data_type, count=count, seed=seed, rows=rows)
    return [
        {
            "title": {"ko": problem.title.ko[:110], "en": problem.title.en[:110]},
            "description": problem.description.as_dict(),
            "difficulty": problem.difficulty,
            "tags": list(problem.tags)[:8],
            "sql": problem.reference_sql,
            "ordered": problem.ordered,
            "hints": [hint.as_dict() for hint in problem.hints],
        }
        for problem in generate(request, verifier=InProcessVerifier).problems
    ]


class Author:
    """``drafts``: written in order, as many as each request asks for; with none left the request fails with 503.
    ``solve``: a draft -> the SQL that a reader of its text writes. ``repair``: drafts in answer to a repair."""

    def __init__(self, drafts: list[Drafted], solve: Callable[[Drafted], str] | None = None) -> None:
        self._waiting = list(drafts)
        self._known = list(drafts)
        self._solve = solve or (lambda draft: str(draft["sql"]))
        self.repaired: list[Drafted] = []

    def will_repair(self, *drafts: Drafted) -> None:
        self.repaired.extend(drafts)
        self._known.extend(drafts)

    def __call__(self, request: Request) -> Reply:
        if "solutions" in request.schema["properties"]:
            return self._solved(request)
        counted = _COUNT.match(request.content)
        if counted is None:
            raise ValueError(f"no request for problems: {request.content[:200]}")
        source = self.repaired if request.content.startswith("Repair") else self._waiting
        if not source:
            return error(503, "the author has no more drafts")
        answer = [source.pop(0) for _ in range(min(int(counted[1]), len(source)))]
        return good({"problems": answer}, served=f"{request.model}-001", prompt=2_000, candidates=900, thought=300)

    def _solved(self, request: Request) -> Reply:
        shown = request.content.split("\nProblem ")[1:]
        solutions = [{"number": n, "sql": self._solve(self._draft_of(text))} for n, text in enumerate(shown, 1)]
        return good({"solutions": solutions}, served=f"{request.model}-002", prompt=1_500, candidates=400)

    def _draft_of(self, text: str) -> Drafted:
        """The one whose title and description are shown; a repaired draft may share its title with the first one."""
        found = [d for d in self._known if d["title"]["en"] in text and d["description"]["en"] in text]
        if not found:
            raise LookupError(f"none of the drafts is shown: {text[:300]}")
        return max(found, key=lambda d: len(d["description"]["en"]))
