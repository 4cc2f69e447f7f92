"""Bearer tokens: what proves who calls, and what does not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from services.kernel.identity import Identity, IdentitySettings, InvalidToken, TokenVerifier

SECRET = "a key for tests only, thirty-two bytes or more"


def _settings(**changes: Any) -> IdentitySettings:
    return IdentitySettings(**{"database_url": "postgresql://", "identity_key": SECRET, **changes})


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {
        "sub": "ada",
        "iss": "querycraft",
        "aud": "querycraft",
        "exp": datetime.now(UTC) + timedelta(minutes=5),
        **changes,
    }
    # A difference is counted from when the test runs: collecting the suite may be minutes earlier.
    later = {name: datetime.now(UTC) + value for name, value in claims.items() if isinstance(value, timedelta)}
    return {name: value for name, value in {**claims, **later}.items() if value is not None}


async def test_a_shared_secret() -> None:
    token = jwt.encode(_claims(roles=["admin"]), SECRET, "HS256")
    identity = await TokenVerifier(_settings()).identify(f"Bearer {token}")
    assert identity == Identity("ada", frozenset({"admin"}))
    assert identity is not None
    assert identity.is_admin
    assert await TokenVerifier(_settings()).identify(None) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": 1},
        {"iss": None},
        {"iss": "other"},
        {"aud": None},
        {"aud": "other"},
        {"sub": None},
        {"sub": "a\nb"},
        {"nbf": timedelta(minutes=5)},
        {"roles": [1]},
    ],
)
async def test_claims_that_do_not_hold(changes: dict[str, Any]) -> None:
    token = jwt.encode(_claims(**changes), SECRET, "HS256")
    with pytest.raises(InvalidToken):
        await TokenVerifier(_settings()).identify(f"Bearer {token}")


@pytest.mark.parametrize("header", ["", "Bearer ", "Token abc", "Bearer a.b.c", f"Bearer {'x' * 10_000}"])
async def test_headers_that_hold_no_token(header: str) -> None:
    with pytest.raises(InvalidToken):
        await TokenVerifier(_settings()).identify(header)


async def test_the_algorithm_is_pinned() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    verifier = TokenVerifier(_settings(identity_algorithm="RS256", identity_key=public.decode()))
    good = jwt.encode(_claims(), key, "RS256")
    assert await verifier.identify(f"Bearer {good}") == Identity("ada")
    other = jwt.encode(_claims(), rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256")
    for forged in (jwt.encode(_claims(), SECRET, "HS256"), jwt.encode(_claims(), "", "none"), other):
        with pytest.raises(InvalidToken):
            await verifier.identify(f"Bearer {forged}")


async def test_published_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": "k1", "use": "sig"}
    fetched = 0

    def fetch(_: jwt.PyJWKClient) -> Any:
        nonlocal fetched
        fetched += 1
        return {"keys": [jwk]}

    monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", fetch)
    verifier = TokenVerifier(
        _settings(identity_key="", identity_algorithm="RS256", identity_jwks_url="https://keys.example/jwks")
    )
    token = jwt.encode(_claims(), key, "RS256", headers={"kid": "k1"})
    for _ in range(2):
        assert await verifier.identify(f"Bearer {token}") == Identity("ada")
    unknown = jwt.encode(_claims(), key, "RS256", headers={"kid": "k2"})
    with pytest.raises(InvalidToken):
        await verifier.identify(f"Bearer {unknown}")


async def test_without_a_key_nobody_is_believed() -> None:
    token = jwt.encode(_claims(), SECRET, "HS256")
    with pytest.raises(InvalidToken, match="no key"):
        await TokenVerifier(_settings(identity_key="")).identify(f"Bearer {token}")


@pytest.mark.parametrize(
    "changes",
    [
        {"identity_key": "short"},
        {"identity_jwks_url": "https://keys.example/jwks"},
        {"identity_jwks_url": "https://keys.example/jwks", "identity_key": ""},
    ],
)
def test_settings_that_contradict_themselves(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _settings(**changes)
