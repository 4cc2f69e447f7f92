"""Who sends a request."""

from fastapi import Request

from services.intake.domain.jobs import Caller
from services.kernel.http import Problem
from services.kernel.identity import InvalidToken, TokenVerifier


class Callers:
    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def of(self, request: Request) -> Caller:
        """The signed-in user, or an anonymous caller known by address.

        Raises:
            Problem: 401, the token is not valid.
        """
        authorization = request.headers.get("authorization")
        if authorization is None:
            return Caller(None, f"ip:{request.client.host if request.client else 'local'}")
        try:
            identity = await self._verifier.identify(authorization)
        except InvalidToken as error:
            raise Problem(
                401,
                "invalid-token",
                "The token is not valid",
                str(error),
                errors=[{"field": "Authorization", "message": str(error)}],
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            ) from error
        assert identity is not None  # noqa: S101 - there is a header
        return Caller(identity.user_id, f"user:{identity.user_id}", identity.roles)

    async def admin(self, request: Request) -> Caller:
        """Raises Problem: 401 nobody signed in, 403 not an administrator."""
        caller = await self.of(request)
        if caller.user_id is None:
            raise Problem(
                401, "sign-in-required", "Only administrators may do this", headers={"WWW-Authenticate": "Bearer"}
            )
        if not caller.is_admin:
            raise Problem(403, "not-allowed", "Only administrators may do this")
        return caller
