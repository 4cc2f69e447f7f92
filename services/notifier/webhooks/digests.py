"""Posts what a webhook's group has due: one notification as ever, several as one digest."""

from datetime import UTC, datetime

from services.notifier.adapters.groups import GroupClaim
from services.notifier.grouped import identity
from services.notifier.schedule import Outcome
from services.notifier.webhooks.bodies import digest, digest_id, single
from services.notifier.webhooks.sender import Sender
from services.notifier.webhooks.signing import signed_headers


class DigestSending:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def __call__(self, claim: GroupClaim) -> Outcome:
        row = claim.receiver
        if len(claim.ids) == 1:
            message_id, body = (
                str(claim.shown[0].notification.id),
                single(claim.shown[0], administrator=row["everything"]),
            )
        else:
            message_id = digest_id(identity(claim))
            body = digest(claim.shown, len(claim.ids), administrator=row["everything"])
        keys = [key for key in (row["secret"], row["previous_secret"]) if key]
        headers = signed_headers(message_id, datetime.now(UTC), body, keys)
        return await self._sender.send(row["url"], headers, body, claim.attempt)
