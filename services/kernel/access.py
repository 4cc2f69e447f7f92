"""Who stands at the door, and doors that only administrators may pass."""

from fastapi import Request

from services.kernel.http import Problem
from services.kernel.identity import Identity, InvalidToken, TokenVerifier


async def identity_of(request: Request, verifier: TokenVerifier) -> Identity | None:
    """The signed-in caller who sends ``request``, or None.

    Raises:
        Problem: 401, a token was sent that proves nobody.
    """
    try:
        return await verifier.identify(request.headers.get("authorization"))
    except InvalidToken as error:
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Problem(401, "invalid-token", "The token is not valid", str(error), headers=headers) from error


async def administrator(request: Request, verifier: TokenVerifier) -> Identity:
    """The signed-in administrator who sends ``request``.

    Raises:
        Problem: 401 nobody, or a token that proves nobody; 403 somebody else.
    """
    identity = await identity_of(request, verifier)
    if identity is None:
        headers = {"WWW-Authenticate": "Bearer"}
        raise Problem(401, "sign-in-required", "Only administrators may do this", headers=headers)
    if not identity.is_admin:
        raise Problem(403, "not-allowed", "Only administrators may do this")
    return identity
