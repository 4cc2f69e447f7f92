"""GET /admin/quota: what operators see, and who may see it."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI

from services.kernel.database.unit_of_work import Database
from services.kernel.http import create_app
from services.kernel.identity import IdentitySettings, TokenVerifier
from services.kernel.llm.assembly import Models, open_models
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.client import TokenUse
from services.kernel.llm.ledger import Reservation
from services.kernel.llm.quota_api import add_quota
from services.kernel.llm.settings import LlmSettings

KEY = "a key that is long enough for HS256, really"


def token(*roles: str, **claims: Any) -> dict[str, str]:
    told = {"sub": "u1", "iss": "querycraft", "aud": "querycraft", "exp": time.time() + 86_400, "roles": list(roles)}
    return {"Authorization": f"Bearer {jwt.encode({**told, **claims}, KEY, 'HS256')}"}


@pytest.fixture
def models(database: Database) -> Models:
    return open_models(LlmSettings(database_url="postgresql://unused", gemini_api_key=""), database)


@pytest.fixture
async def http(models: Models) -> AsyncIterator[httpx.AsyncClient]:
    app: FastAPI = create_app("probe", "a door")
    identity = IdentitySettings(database_url="postgresql://unused", identity_key=KEY)
    add_quota(app, models, TokenVerifier(identity))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://probe") as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer nonsense"}, 401), (token(), 403), (token(exp=1), 401)],
)
async def test_only_administrators_may_look(headers: dict[str, str], status: int, http: httpx.AsyncClient) -> None:
    answer = await http.get("/admin/quota", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_used_left_and_reset_of_every_model(http: httpx.AsyncClient, models: Models) -> None:
    flash, lite = (models.catalogue.models[name] for name in ("gemini-2.5-flash", "gemini-2.5-flash-lite"))
    reservation = await models.ledger.reserve(flash, Purpose.PROBLEM, 900, 10.0)
    assert isinstance(reservation, Reservation)
    await models.ledger.sent(reservation)
    await models.ledger.settle(reservation, TokenUse(prompt=100, candidates=20, thought=30))
    await models.ledger.park_until_reset(lite.name, "the provider says: spent")
    answer = (await http.get("/admin/quota", headers=token("admin"))).json()
    assert answer["models_enabled"] is False
    shown = {entry["model"]: entry for entry in answer["models"]}
    assert list(shown) == [model.name for model in models.catalogue.in_use]
    spent = shown["gemini-2.5-flash"]
    assert spent["requests"] == {"limit": 1_500, "used": 1, "left": 1_499}
    assert spent["minute_tokens"] == {"limit": 250_000, "used": 150, "left": 249_850}
    assert spent["tokens_today"] == {"prompt": 100, "candidates": 20, "thought": 30, "cached": 0, "tool": 0}
    assert spent["purposes"] == ["problem", "grading"]
    parked = shown["gemini-2.5-flash-lite"]
    assert (parked["state"], parked["park_reason"]) == ("parked", "the provider says: spent")
    assert parked["parked_until"] == parked["resets_at"]
