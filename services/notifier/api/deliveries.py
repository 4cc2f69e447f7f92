"""What was sent to a receiver (a webhook, an e-mail subscription), what became of it, and sending it again."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.kernel.problems import problems
from services.notifier.adapters.delivery_log import DeliveryLog
from services.notifier.api.access import MAX_POSITION, Bearer
from services.notifier.api.receivers import BODY, ONE

MAX_PAGE = 200


Owned = Callable[[Request, UUID], Awaitable[UUID]]
"""The receiver's id once it is known to be the caller's. Raises Problem: 401, 404."""


class DeliveryView(BaseModel):
    id: int
    channel: str = Field(description="'webhook' or 'email'.")
    notification_id: UUID
    status: str = Field(description="'pending', 'delivered', 'failed' or 'cancelled'.")
    attempts: int
    next_attempt_at: AwareDatetime
    response_status: int | None
    last_error: str
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class DeliveryPage(BaseModel):
    items: list[DeliveryView]
    next_cursor: int | None


class ReplayRequest(BaseModel):
    """Without ids: all that failed or were cancelled."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[int, Field(ge=1, le=MAX_POSITION)]] = Field(default=[], max_length=1_000)


class Replayed(BaseModel):
    replayed: int


def delivery_routes(kind: str, deliveries: DeliveryLog, owned: Owned, wake: Callable[[], None]) -> APIRouter:
    """``kind``: the receivers' path, such as ``webhooks``."""
    routes = APIRouter(tags=[kind], prefix=f"/{kind}/{{receiver_id}}/deliveries", dependencies=[Bearer])

    @routes.get("", responses=problems(**ONE))
    async def delivery_log(
        request: Request,
        receiver_id: UUID,
        status: Literal["pending", "delivered", "failed", "cancelled"] | None = None,
        cursor: Annotated[int | None, Query(ge=1, le=MAX_POSITION)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> DeliveryPage:
        """What was sent and what became of it, newest first."""
        receiver = await owned(request, receiver_id)
        found = await deliveries.log(receiver, status or "", cursor, limit + 1)
        return DeliveryPage(
            items=[DeliveryView(**vars(entry)) for entry in found[:limit]],
            next_cursor=found[limit - 1].id if len(found) > limit else None,
        )

    @routes.post(
        "/replay",
        status_code=202,
        responses=problems(**ONE, **BODY),
    )
    async def replay_deliveries(request: Request, receiver_id: UUID, wanted: ReplayRequest) -> Replayed:
        """Send again, under the same id: the named ones, or all that failed or were cancelled."""
        receiver = await owned(request, receiver_id)
        number = await deliveries.replay(receiver, wanted.ids)
        wake()
        return Replayed(replayed=number)

    return routes
