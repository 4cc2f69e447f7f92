"""Mails what a subscription's group has due."""

from zoneinfo import ZoneInfo

from services.notifier.adapters.groups import GroupClaim
from services.notifier.grouped import identity
from services.notifier.mail.compose import Reader, compose
from services.notifier.mail.mailer import Mailer
from services.notifier.schedule import Outcome


class MailSending:
    """``sender``: the address mails come from."""

    def __init__(self, mailer: Mailer, sender: str) -> None:
        self._mailer = mailer
        self._sender = sender

    async def __call__(self, claim: GroupClaim) -> Outcome:
        row = claim.receiver
        reader = Reader(row["address"], row["locale"], ZoneInfo(row["time_zone"]), row["everything"])
        message = compose(reader, self._sender, claim.shown, len(claim.ids), identity(claim))
        return await self._mailer.send(message, claim.attempt)
