"""An SMTP server (aiosmtpd) that keeps what it is sent and refuses what it is told to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Mailbox:
    """``mails`` in order; ``rcpt``, ``mail`` and ``data``: the next answers to these commands, instead of success."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.over_tls: list[bool] = []
        self.rcpt: list[str] = []
        self.sender: list[str] = []
        self.data: list[str] = []
        self.port = 0

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender:
            return self.sender.pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data:
            return self.data.pop(0)
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.recipients.append(list(envelope.rcpt_tos))
        self.over_tls.append(session.ssl is not None)
        return "250 OK"


@asynccontextmanager
async def receiving_mail(
    tls: ssl.SSLContext | None = None, login: tuple[bytes, bytes] | None = None
) -> AsyncIterator[Mailbox]:
    """``tls``: insist on STARTTLS; ``login``: on this user and password."""
    mailbox = Mailbox()

    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == login
        return AuthResult(success=known, handled=False)

    def serve() -> SMTP:
        return SMTP(
            mailbox,
            hostname="mail.example",
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=login is not None,
            authenticator=check,
        )

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()
