"""Who stands at the door, and doors that only some may pass."""

from starlette.requests import HTTPConnection

from services.kernel.http import Problem
from services.kernel.identity import Identity, InvalidToken, TokenVerifier


async def identity_of(connection: HTTPConnection, verifier: TokenVerifier, token: str | None = None) -> Identity | None:
    """The signed-in caller, or None. ``token`` counts where no Authorization header was sent.

    Raises:
        Problem: 401, a token was sent that proves nobody.
    """
    header = connection.headers.get("authorization")
    try:
        return await verifier.identify(f"Bearer {token}" if header is None and token else header)
    except InvalidToken as error:
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Problem(401, "invalid-token", "The token is not valid", str(error), headers=headers) from error


async def signed_in(connection: HTTPConnection, verifier: TokenVerifier) -> Identity:
    """Raises Problem: 401, nobody signed in, or a token that proves nobody."""
    identity = await identity_of(connection, verifier)
    if identity is None:
        raise Problem(401, "sign-in-required", "Sign in first", headers={"WWW-Authenticate": "Bearer"})
    return identity


async def administrator(connection: HTTPConnection, verifier: TokenVerifier) -> Identity:
    """The signed-in administrator.

    Raises:
        Problem: 401 nobody, or a token that proves nobody; 403 somebody else.
    """
    identity = await signed_in(connection, verifier)
    if not identity.is_admin:
        raise Problem(403, "not-allowed", "Only administrators may do this")
    return identity
