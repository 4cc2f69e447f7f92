"""Who reads, and what they name."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Security
from fastapi.security import HTTPBearer

from services.kernel.identity import Identity
from services.notifier.domain import MAX_ABOUT, PLAIN, Viewer

MAX_POSITION = 2**63 - 1
MAX_NAMED = 50

Bearer = Security(HTTPBearer(auto_error=False, description="Optional. A signed-in client also sees its own."))
"""Shows the scheme on the docs page; ``identity_of`` reads the header itself, to tell no token from a bad one."""

About = Annotated[
    list[Annotated[str, Query(max_length=MAX_ABOUT, pattern=PLAIN)]],
    Query(
        max_length=MAX_NAMED,
        description="Ids of jobs without an owner whose notifications the caller wants: whoever knows the id may.",
    ),
]
Position = Annotated[
    int | None,
    Query(ge=0, le=MAX_POSITION, description="Resume after this id; without it the stream starts with what is new."),
]
AccessToken = Annotated[
    str | None,
    Query(
        max_length=8192,
        description="The bearer token, for browsers, whose EventSource and WebSocket send no Authorization header.",
    ),
]


def viewer(identity: Identity | None, named: Sequence[str] = ()) -> Viewer:
    if identity is None:
        return Viewer(named=frozenset(named))
    return Viewer(identity.user_id, identity.is_admin, frozenset(named))
