"""Which receivers have their deliveries grouped, and in which tables."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from services.notifier.adapters.delivery_log import OF_SUBSCRIPTION, OF_WEBHOOK
from services.notifier.timing import QuietHours


@dataclass(frozen=True)
class Grouping:
    """How one kind of receiver is grouped, in the tables' names.

    ``owner``: the groups' column that names the receiver, ``key``: the deliveries' column that names the group.
    ``condition``: which receivers (``receiver``) are grouped at all. ``webhook``: what goes into ``webhook_id``.
    ``columns``: of the receiver, that sending needs.
    """

    channel: str
    receivers: str
    groups: str
    owner: str
    key: str
    condition: str
    webhook: str
    columns: str
    of_receiver: str
    disabled: str


EMAIL = Grouping(
    channel="email",
    receivers="email_subscriptions",
    groups="email_groups",
    owner="subscription_id",
    key="email_group_id",
    condition="receiver.confirmed_at IS NOT NULL",
    webhook="NULL::uuid",
    columns="receiver.id, user_id, everything, address, locale, time_zone, quiet_from, quiet_until",
    of_receiver=OF_SUBSCRIPTION,
    disabled="the subscription was disabled",
)
AT_ONCE = "receiver.digest_seconds = 0 AND receiver.quiet_from IS NULL"
"""Webhooks whose posts are neither grouped nor deferred."""
WEBHOOK = Grouping(
    channel="webhook",
    receivers="webhooks",
    groups="webhook_groups",
    owner="webhook_id",
    key="webhook_group_id",
    condition=f"NOT ({AT_ONCE})",
    webhook="grouped.webhook_id",
    columns="""receiver.id, user_id, everything, url, secret, time_zone, quiet_from, quiet_until,
        CASE WHEN previous_until > now() THEN previous_secret END AS previous_secret""",
    of_receiver=OF_WEBHOOK,
    disabled="the webhook was disabled",
)


def quiet_hours(row: Any) -> QuietHours | None:
    """Of a row with ``quiet_from``, ``quiet_until`` and ``time_zone``."""
    if row["quiet_from"] is None:
        return None
    return QuietHours(row["quiet_from"], row["quiet_until"], ZoneInfo(row["time_zone"]))
