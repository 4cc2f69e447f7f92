"""Who may push: Google-signed identity tokens of one service account, for one audience.

Source: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions#validate_tokens
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.kernel.errors import ConfigurationError, PermanentError, TransientError

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
CLOCK_SKEW_SECONDS = 10
GOOGLE_CERTIFICATES_URL = "https://www.googleapis.com/oauth2/v1/certs"
_FETCH_SECONDS = 5.0
_CERTIFICATES_SECONDS = 3600.0
"""Google publishes a key a day or more before it signs with it."""
_REFETCH_SECONDS = 30.0
"""An unknown key fetches the certificates again, but no forger may have us fetch them all day."""


class Unauthenticated(PermanentError):
    """The caller did not prove to be Pub/Sub; the message says what was wrong with the token."""

    code = "unauthenticated"


class Verifier(Protocol):
    async def verify(self, authorization: str | None) -> None:
        """Check the ``Authorization`` header of a push.

        Raises:
            Unauthenticated: no token, or not one that may push here.
            TransientError: the certificates to check it with cannot be had.
        """
        ...


async def fetch_google_certificates() -> Mapping[str, str]:
    """Key id -> PEM certificate. Raises httpx.HTTPError, ValueError: Google did not answer with certificates."""
    import httpx

    async with httpx.AsyncClient(timeout=_FETCH_SECONDS) as client:
        response = await client.get(GOOGLE_CERTIFICATES_URL)
        response.raise_for_status()
        certificates: Mapping[str, str] = response.json()
    return certificates


@dataclass
class OidcVerifier:
    """``audience`` and ``service_account`` are those of the subscription's push configuration."""

    audience: str
    service_account: str
    fetch_certificates: Callable[[], Awaitable[Mapping[str, str]]] = fetch_google_certificates
    _certificates: Mapping[str, str] = field(default_factory=dict, init=False)
    _fetched_at: float = field(default=float("-inf"), init=False)
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def verify(self, authorization: str | None) -> None:
        """See ``Verifier.verify``."""
        token = _bearer(authorization)
        claims = await self._claims(token)
        _require(claims.get("iss") in ISSUERS, "its issuer is not Google")
        _require(claims.get("email") == self.service_account, "it belongs to another account")
        _require(claims.get("email_verified") is True, "its e-mail is not verified")

    async def _claims(self, token: str) -> Mapping[str, Any]:
        key = _key_id(token)
        certificates = await self._certificates_with(key)
        _require(key in certificates, "it is signed with an unknown key")
        # A signature is a millisecond of CPU that other requests need not wait for.
        return await asyncio.to_thread(_decode, token, certificates, self.audience)

    async def _certificates_with(self, key: str) -> Mapping[str, str]:
        async with self._fetching:
            age = time.monotonic() - self._fetched_at
            if age > _CERTIFICATES_SECONDS or (key not in self._certificates and age > _REFETCH_SECONDS):
                self._certificates = await self._fetch()
                self._fetched_at = time.monotonic()
        return self._certificates

    async def _fetch(self) -> Mapping[str, str]:
        import httpx

        try:
            return await self.fetch_certificates()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise TransientError(f"Google's certificates cannot be fetched: {error!r}") from error


class TrustEveryone:
    """For the emulator, which signs nothing. Built only where the settings say so."""

    async def verify(self, authorization: str | None) -> None:
        """Takes every caller."""


def push_verifier(*, audience: str, service_account: str, emulator: bool) -> Verifier:
    """The verifier the settings ask for.

    Raises:
        ConfigurationError: neither an emulator nor an audience and an account are configured.
    """
    if audience and service_account:
        return OidcVerifier(audience, service_account)
    if not emulator or audience or service_account:
        raise ConfigurationError(
            "push needs the audience and the service account of its subscription (QC_PUSH_AUDIENCE, "
            "QC_PUSH_SERVICE_ACCOUNT); only with the Pub/Sub emulator may it do without"
        )
    return TrustEveryone()


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    _require(scheme.lower() == "bearer" and bool(token.strip()), "there is none")
    return token.strip()


def _key_id(token: str) -> str:
    from google.auth import jwt
    from google.auth.exceptions import GoogleAuthError

    try:
        header = jwt.decode_header(token)
    except (ValueError, GoogleAuthError) as error:
        raise Unauthenticated(f"the bearer token is refused: {error}") from error
    _require(header.get("alg") == "RS256", "it is not signed with RS256")
    return str(header.get("kid", ""))


def _decode(token: str, certificates: Mapping[str, str], audience: str) -> Mapping[str, Any]:
    from google.auth import jwt
    from google.auth.exceptions import GoogleAuthError

    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, certs=dict(certificates), audience=audience, clock_skew_in_seconds=CLOCK_SKEW_SECONDS
        )
    except (ValueError, GoogleAuthError) as error:
        raise Unauthenticated(f"the bearer token is refused: {error}") from error
    return claims


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise Unauthenticated(f"the bearer token is refused: {reason}")
