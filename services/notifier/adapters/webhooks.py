"""The webhooks table: where users want their notifications posted."""

from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import WEBHOOK
from services.notifier.adapters.receivers import ReceiversTable
from services.notifier.receivers import Webhook, WebhookRequest

ROTATION_HOURS = 24

_ROTATE = f"previous_secret = secret, previous_until = now() + interval '{ROTATION_HOURS} hours', secret = $3"


class WebhooksTable(ReceiversTable[Webhook]):
    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, WEBHOOK, Webhook, {"previous_secret_until": "previous_until"})

    async def add(self, user_id: str, wanted: WebhookRequest, secret: str, *, most: int) -> Webhook:
        """Raises TooMany: nothing was added."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._make_room(connection, user_id, most)
            return await self._insert(connection, user_id, wanted, secret=secret)

    async def rotate(self, webhook_id: UUID, user_id: str, secret: str) -> Webhook | None:
        """Sign with ``secret`` too; the old one signs along for a day, then only the new one."""
        return await self._update(self._pool, webhook_id, user_id, _ROTATE, secret)
