"""Notifications over plain HTTP: newest first, and one by its id."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.kernel.access import identity_of
from services.kernel.http import Problem
from services.kernel.identity import TokenVerifier
from services.kernel.problems import problems
from services.notifier.api.access import MAX_POSITION, About, Bearer, viewer
from services.notifier.domain import MAX_ABOUT, MAX_NAME, PLAIN, Kind, Severity
from services.notifier.ports import Filter, Notifications
from services.notifier.views import NotificationPage, NotificationView, view

MAX_PAGE = 200


def listing(notifications: Notifications, verifier: TokenVerifier) -> APIRouter:
    routes = APIRouter(tags=["notifications"], dependencies=[Bearer])

    @routes.get(
        "/notifications",
        responses=problems(_401="The token is not valid", _422="A parameter is not valid", _503="Try again later"),
    )
    async def list_notifications(
        request: Request,
        about: About = [],  # noqa: B006 - FastAPI copies defaults
        cursor: Annotated[int | None, Query(ge=1, le=MAX_POSITION, description="``next_cursor`` of a page.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        kind: Kind | None = None,
        severity: Severity | None = None,
        type_: Annotated[str, Query(alias="type", max_length=MAX_NAME, pattern=PLAIN)] = "",
        subject: Annotated[
            str, Query(max_length=MAX_ABOUT, pattern=PLAIN, description="Only notifications about this id.")
        ] = "",
    ) -> NotificationPage:
        """What the caller may see, newest first: broadcasts, its own, those about ids it names; administrators all."""
        reader = viewer(await identity_of(request, verifier), about)
        wanted = Filter(kind or "", type_, severity or "", subject)
        found = await notifications.before(cursor, reader, wanted, limit + 1)
        page = found[:limit]
        return NotificationPage(
            items=[view(stored, administrator=reader.administrator) for stored in page],
            next_cursor=page[-1].sequence if len(found) > limit else None,
        )

    @routes.get(
        "/notifications/{notification_id}",
        responses=problems(
            _401="The token is not valid",
            _404="No such notification, or not the caller's to see",
            _422="A parameter is not valid",
            _503="Try again later",
        ),
    )
    async def read_notification(
        request: Request,
        notification_id: UUID,
        about: About = [],  # noqa: B006
    ) -> NotificationView:
        reader = viewer(await identity_of(request, verifier), about)
        stored = await notifications.one(notification_id, reader)
        if stored is None:
            raise Problem(404, "not-found", "No such notification", f"There is no notification {notification_id} here")
        return view(stored, administrator=reader.administrator)

    return routes
