"""Who calls: bearer tokens (JWT) as every service reads them.

Source: RFC 7519 and RFC 8725 (the algorithm is pinned; issuer, audience and expiry are checked).
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr, model_validator

from services.kernel.errors import PermanentError
from services.kernel.settings import ServiceSettings

if TYPE_CHECKING:
    import jwt

ADMIN = "admin"
MAX_USER_ID = 255
MAX_TOKEN = 8192


class InvalidToken(PermanentError):
    """The token proves nobody: forged, expired, for somebody else, or not a token at all."""

    code = "invalid_token"


class IdentitySettings(ServiceSettings):
    """``identity_key``: the shared secret of HS256 (32 bytes or more), or a public key as PEM;
    ``identity_jwks_url`` instead fetches public keys. With neither, every token is refused."""

    identity_algorithm: Literal["HS256", "RS256", "ES256"] = "HS256"
    identity_key: SecretStr = SecretStr("")
    identity_jwks_url: str = ""
    identity_issuer: str = "querycraft"
    identity_audience: str = "querycraft"

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> "IdentitySettings":
        key = self.identity_key.get_secret_value()
        if self.identity_jwks_url and (key or self.identity_algorithm == "HS256"):
            raise ValueError("QC_IDENTITY_JWKS_URL serves public keys: unset QC_IDENTITY_KEY and choose RS256 or ES256")
        if key and self.identity_algorithm == "HS256" and len(key.encode()) < 32:
            raise ValueError("QC_IDENTITY_KEY must have at least 32 bytes for HS256")
        return self


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in caller. ``user_id`` is the token's ``sub``."""

    user_id: str
    roles: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles


class TokenVerifier:
    """Reads ``Authorization`` headers. PyJWT is loaded with the first token, not at start."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self._jwks: jwt.PyJWKClient | None = None

    async def identify(self, authorization: str | None) -> Identity | None:
        """The caller, or None without a header.

        Raises:
            InvalidToken: the header is not a bearer token that proves who calls.
        """
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise InvalidToken("the Authorization header must read 'Bearer <token>'")
        if len(token) > MAX_TOKEN:
            raise InvalidToken(f"the token is longer than {MAX_TOKEN} characters")
        return _identity_in(await self._claims(token.strip()))

    async def _claims(self, token: str) -> dict[str, Any]:
        import jwt

        settings = self._settings
        try:
            return jwt.decode(
                token,
                await self._key(token),
                algorithms=[settings.identity_algorithm],
                audience=settings.identity_audience,
                issuer=settings.identity_issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise InvalidToken(f"the token is not valid: {error}") from error

    async def _key(self, token: str) -> Any:
        settings = self._settings
        if not settings.identity_jwks_url:
            key = settings.identity_key.get_secret_value()
            if not key:
                raise InvalidToken("this service has no key to check tokens with")
            return key
        import jwt

        if self._jwks is None:
            self._jwks = jwt.PyJWKClient(settings.identity_jwks_url, cache_keys=True, lifespan=300, timeout=5)
        # The client fetches with blocking calls; a cached key costs the thread hop only.
        return (await asyncio.to_thread(self._jwks.get_signing_key_from_jwt, token)).key


def _identity_in(claims: dict[str, Any]) -> Identity:
    user_id = claims["sub"]
    if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_USER_ID or not user_id.isprintable():
        raise InvalidToken(f"the token's sub must be 1 to {MAX_USER_ID} printable characters")
    roles = claims.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise InvalidToken("the token's roles must be a list of names")
    return Identity(user_id, frozenset(roles))
