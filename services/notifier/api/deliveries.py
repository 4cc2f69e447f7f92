"""What was posted to a webhook, what became of it, and posting it again."""

from collections.abc import Callable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.notifier.adapters.deliveries import DeliveriesTable
from services.notifier.api.access import MAX_POSITION, Bearer
from services.notifier.api.problems import problems
from services.notifier.api.webhooks import ONE, Owner

MAX_PAGE = 200


class DeliveryView(BaseModel):
    id: int
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


def delivery_routes(deliveries: DeliveriesTable, owner: Owner, wake: Callable[[], None]) -> APIRouter:
    routes = APIRouter(tags=["webhooks"], prefix="/webhooks/{webhook_id}/deliveries", dependencies=[Bearer])

    @routes.get("", responses=problems(**ONE))
    async def delivery_log(
        request: Request,
        webhook_id: UUID,
        status: Literal["pending", "delivered", "failed", "cancelled"] | None = None,
        cursor: Annotated[int | None, Query(ge=1, le=MAX_POSITION)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> DeliveryPage:
        """What was posted and what became of it, newest first."""
        webhook = await owner.webhook(request, webhook_id)
        found = await deliveries.log(webhook.id, status or "", cursor, limit + 1)
        return DeliveryPage(
            items=[DeliveryView(**vars(entry)) for entry in found[:limit]],
            next_cursor=found[limit - 1].id if len(found) > limit else None,
        )

    @routes.post(
        "/replay",
        status_code=202,
        responses=problems(**ONE, _400="The body is not JSON", _413="The body is too large"),
    )
    async def replay_deliveries(request: Request, webhook_id: UUID, wanted: ReplayRequest) -> Replayed:
        """Post again, under the same webhook-id: the named ones, or all that failed or were cancelled."""
        webhook = await owner.webhook(request, webhook_id)
        number = await deliveries.replay(webhook.id, wanted.ids)
        wake()
        return Replayed(replayed=number)

    return routes
