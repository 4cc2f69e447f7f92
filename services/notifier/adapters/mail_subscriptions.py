"""The e-mail subscriptions: who wants which notifications mailed, and when not."""

from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import EMAIL
from services.notifier.adapters.receivers import ReceiversTable
from services.notifier.receivers import Subscription, SubscriptionRequest

CONFIRM_HOURS = 24

_ASKED = "SELECT count(*) FROM email_confirmations WHERE user_id = $1 AND sent_at > now() - interval '1 day'"
_SENT = "INSERT INTO email_confirmations (user_id) VALUES ($1)"
_CONFIRMED = "confirmed_at = now(), token_hash = NULL"
_CODE_COUNTS = f"token_hash = $3 AND created_at > now() - interval '{CONFIRM_HOURS} hours'"
_FORGET_CONFIRMATIONS = "DELETE FROM email_confirmations WHERE sent_at < now() - interval '2 days'"


class TooManyConfirmations(Exception):
    """The user was sent as many confirmations within a day as anybody may cause."""


class AddressTaken(Exception):
    """The user has a subscription of this address."""


class MailSubscriptionsTable(ReceiversTable[Subscription]):
    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, EMAIL, Subscription)

    async def add(
        self, user_id: str, wanted: SubscriptionRequest, token_hash: bytes, *, most: int, most_confirmations: int
    ) -> Subscription:
        """``token_hash``: SHA-256 of what the confirmation mail carries.

        Raises:
            TooMany, TooManyConfirmations, AddressTaken: nothing was added.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await self._make_room(connection, user_id, most)
            if await connection.fetchval(_ASKED, user_id) >= most_confirmations:
                raise TooManyConfirmations
            try:
                made = await self._insert(connection, user_id, wanted, token_hash=token_hash)
            except asyncpg.UniqueViolationError as error:
                raise AddressTaken from error
            await connection.execute(_SENT, user_id)
        return made

    async def confirm(self, subscription_id: UUID, user_id: str, token_hash: bytes) -> Subscription | None:
        """None also when the token is another one, was used, or is too old."""
        return await self._update(self._pool, subscription_id, user_id, _CONFIRMED, token_hash, condition=_CODE_COUNTS)

    async def prune(self) -> None:
        """Forget confirmations that no limit counts any more."""
        await self._pool.execute(_FORGET_CONFIRMATIONS)
