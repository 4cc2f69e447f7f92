"""``GET /admin/quota``: what is used and left of every model, for the operators' dashboard."""

from __future__ import annotations

from datetime import UTC, date, datetime

from fastapi import FastAPI, Request
from pydantic import AwareDatetime, BaseModel

from services.kernel.access import administrator
from services.kernel.identity import TokenVerifier
from services.kernel.llm.assembly import Models
from services.kernel.llm.catalogue import Catalogue
from services.kernel.llm.ledger import ModelStanding
from services.kernel.problems import problems


class Spending(BaseModel):
    limit: int
    used: int
    left: int


class TokensToday(BaseModel):
    prompt: int
    candidates: int
    thought: int
    cached: int
    tool: int


class ModelQuota(BaseModel):
    """``requests``: of the quota day. ``minute_*``: of the last 60 seconds, open calls by their estimate.
    ``state``: ready, parked (see ``parked_until`` and ``park_reason``), spent or ended."""

    model: str
    purposes: list[str]
    state: str
    requests: Spending
    minute_requests: Spending
    minute_tokens: Spending
    tokens_today: TokensToday
    abandoned: int
    resets_at: AwareDatetime
    parked_until: AwareDatetime | None
    park_reason: str
    ends_on: date | None


class Quota(BaseModel):
    """``day``: the quota day, as in Los Angeles. ``models_enabled``: false without a key."""

    day: date
    models_enabled: bool
    models: list[ModelQuota]


def add_quota(app: FastAPI, models: Models, verifier: TokenVerifier) -> None:
    """Adds the route; only administrators may read it."""

    @app.get("/admin/quota", tags=["operations"], responses=problems(401, 403))
    async def quota(request: Request) -> Quota:
        await administrator(request, verifier)
        standings = await models.ledger.report(models.catalogue.in_use)
        return Quota(
            day=standings[0].day,
            models_enabled=models.router.available,
            models=[_view(standing, models.catalogue) for standing in standings],
        )


def _view(standing: ModelStanding, catalogue: Catalogue) -> ModelQuota:
    model, limits, tokens = standing.model, standing.model.limits, standing.tokens
    return ModelQuota(
        model=model.name,
        purposes=[purpose.value for purpose in catalogue.purposes_of(model.name)],
        state=_state(standing),
        requests=_spending(limits.requests_per_day, standing.used),
        minute_requests=_spending(limits.requests_per_minute, standing.minute_requests),
        minute_tokens=_spending(limits.tokens_per_minute, standing.minute_tokens),
        tokens_today=TokensToday(
            prompt=tokens.prompt,
            candidates=tokens.candidates,
            thought=tokens.thought,
            cached=tokens.cached,
            tool=tokens.tool,
        ),
        abandoned=standing.abandoned,
        resets_at=standing.resets_at.astimezone(UTC),
        parked_until=standing.parked_until,
        park_reason=standing.park_reason,
        ends_on=model.ends_on,
    )


def _state(standing: ModelStanding) -> str:
    if standing.model.ended(datetime.now(UTC).date()):
        return "ended"
    if standing.parked_until is not None:
        return "parked"
    return "ready" if standing.left else "spent"


def _spending(limit: int, used: int) -> Spending:
    return Spending(limit=limit, used=used, left=max(0, limit - used))
