"""Builds the notifier: the only place of this service that opens clients."""

import logging
from collections.abc import Sequence
from functools import partial

from contracts import manifest
from contracts.message import Message
from services.kernel.assembly import lay_foundation
from services.kernel.database.unit_of_work import Database
from services.kernel.loops import every
from services.kernel.runtime import Background, Service
from services.notifier.adapters.deliveries import DeliveriesTable
from services.notifier.adapters.delivery_log import OF_SUBSCRIPTION, OF_WEBHOOK, DeliveryLog
from services.notifier.adapters.grouping import EMAIL, WEBHOOK
from services.notifier.adapters.groups import GroupsTable
from services.notifier.adapters.mail_subscriptions import MailSubscriptionsTable
from services.notifier.adapters.notifications import NotificationsTable
from services.notifier.adapters.recording import record
from services.notifier.adapters.webhooks import WebhooksTable
from services.notifier.api.app import Parts, build_app
from services.notifier.api.mail import Mail
from services.notifier.dispatcher import Dispatcher
from services.notifier.grouped import GroupChannel
from services.notifier.handlers import notifying
from services.notifier.hub import Hub
from services.notifier.mail.mailer import Mailer, SmtpServer
from services.notifier.mail.sending import MailSending
from services.notifier.settings import NotifierSettings
from services.notifier.settlement import Settlement
from services.notifier.webhooks.channel import WebhookChannel
from services.notifier.webhooks.digests import DigestSending
from services.notifier.webhooks.sender import Sender

_logger = logging.getLogger(__name__)

NAME = "notifier"
PRUNE_SECONDS = 3_600.0
WEBHOOK_DISABLED = "webhook_disabled"
EMAIL_DISABLED = "email_disabled"


async def build(settings: NotifierSettings) -> Service:
    """Raises OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role."""
    foundation = await lay_foundation(NAME, settings)
    database = foundation.database
    notifications = NotificationsTable(database.pool)
    hub = Hub(notifications, max_clients=settings.max_streams)
    sender = Sender(allow_loopback=settings.webhook_allow_loopback)
    mail, mail_loops = _mail(settings, database)
    project = settings.google_cloud_project
    deliveries, groups = DeliveriesTable(database.pool), GroupsTable(database.pool, WEBHOOK)
    settled_one = Settlement(database, deliveries.settle, WEBHOOK_DISABLED, project)
    settled_group = Settlement(database, groups.settle, WEBHOOK_DISABLED, project)
    posts = Dispatcher(WebhookChannel(deliveries, sender, settled_one))
    digests = Dispatcher(GroupChannel("webhook", groups, DigestSending(sender), settled_group))

    def webhooks_due() -> None:
        posts.wake()
        digests.wake()

    def committed(_: Sequence[Message]) -> None:
        hub.wake()
        webhooks_due()
        mail.due()

    told_of = [subscription.message for subscription in manifest.subscriptions_of(NAME)]
    consumers = foundation.consumers(dict.fromkeys(told_of, notifying(record, project)), committed)
    log = DeliveryLog(database.pool, OF_WEBHOOK)
    parts = Parts(notifications, hub, WebhooksTable(database.pool), log, mail, webhooks_due)
    return foundation.service(
        build_app(settings, parts),
        consumers,
        background=[
            hub.run,
            posts.run,
            digests.run,
            partial(_prune, notifications, settings.notification_retention_days),
            *mail_loops,
        ],
        on_close=[sender.close],
    )


async def _prune(notifications: NotificationsTable, days: int) -> None:
    await every(PRUNE_SECONDS, "notifications.prune", partial(notifications.prune, days))


def _mail(settings: NotifierSettings, database: Database) -> tuple[Mail, list[Background]]:
    """Without an SMTP server deliveries by e-mail wait in the table until there is one."""
    subscriptions, log = MailSubscriptionsTable(database.pool), DeliveryLog(database.pool, OF_SUBSCRIPTION)
    prune = partial(every, PRUNE_SECONDS, "email.prune", subscriptions.prune)
    if not settings.smtp_host:
        return Mail(subscriptions, log, None, "", _nothing_is_due), [prune]
    server = SmtpServer(
        settings.smtp_host, settings.smtp_port, settings.smtp_security, settings.smtp_user, settings.smtp_password
    )
    mailer = Mailer(server)
    sending = MailSending(mailer, settings.smtp_from)
    groups, project = GroupsTable(database.pool, EMAIL), settings.google_cloud_project
    settlement = Settlement(database, groups.settle, EMAIL_DISABLED, project)
    dispatcher = Dispatcher(GroupChannel("e-mail", groups, sending, settlement))
    return Mail(subscriptions, log, mailer, settings.smtp_from, dispatcher.wake), [dispatcher.run, prune]


def _nothing_is_due() -> None:
    """Nobody delivers mails here."""
