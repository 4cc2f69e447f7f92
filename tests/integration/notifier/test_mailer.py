"""Against a real SMTP server: encryption, signing in, and what its refusals mean."""

import ssl
from email.message import EmailMessage
from pathlib import Path

import pytest
from pydantic import SecretStr

from scripts.embedded.ports import free_port
from services.notifier.mail.mailer import Mailer, SmtpServer
from services.notifier.schedule import Delivered, Failed, Postponed
from tests.support.certificates import certificate
from tests.support.smtp_receiver import Mailbox, receiving_mail

PASSWORD = SecretStr("a password for tests only")


def message() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "from@example.com", "mina@example.com", "안녕"
    made.set_content("첫 줄\n.\n점 하나", cte="base64")
    return made


def plain(mailbox: Mailbox) -> Mailer:
    return Mailer(SmtpServer("127.0.0.1", mailbox.port, "none"))


async def test_starttls_and_a_password(tmp_path: Path) -> None:
    server, client = certificate("localhost", tmp_path)
    async with receiving_mail(server, (b"app", PASSWORD.get_secret_value().encode())) as mailbox:

        def mailer(password: SecretStr = PASSWORD, tls: ssl.SSLContext | None = client) -> Mailer:
            return Mailer(SmtpServer("localhost", mailbox.port, "starttls", "app", password), tls=tls)

        assert await mailer().send(message(), 1) == Delivered(250)
        wrong = await mailer(SecretStr("wrong")).send(message(), 1)
        assert isinstance(wrong, Postponed)
        assert wrong.status == 535
        stranger = await mailer(tls=None).send(message(), 1)
        assert isinstance(stranger, Postponed)
        assert "CERTIFICATE_VERIFY_FAILED" in stranger.reason
    assert mailbox.over_tls == [True]
    assert mailbox.mails[0].get_content() == "첫 줄\n.\n점 하나\n"


async def test_a_server_without_starttls_gets_nothing_when_it_is_asked_for() -> None:
    async with receiving_mail() as mailbox:
        outcome = await Mailer(SmtpServer("127.0.0.1", mailbox.port, "starttls")).send(message(), 1)
    assert isinstance(outcome, Postponed)
    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("command", "answer", "kind", "disables"),
    [
        ("rcpt", "550 5.1.1 no such user", Failed, True),
        ("rcpt", "550 no such user", Failed, True),
        ("rcpt", "550 5.7.1 we do not like you", Failed, False),
        ("rcpt", "552 5.2.2 mailbox full", Failed, False),
        ("rcpt", "450 4.2.0 greylisted", Postponed, False),
        ("data", "554 5.6.0 looks like spam", Failed, False),
        ("data", "451 4.3.0 later", Postponed, False),
        ("sender", "553 5.7.1 not your address", Postponed, False),
    ],
)
async def test_what_refusals_mean(command: str, answer: str, kind: type, disables: bool) -> None:
    async with receiving_mail() as mailbox:
        getattr(mailbox, command).append(answer)
        outcome = await plain(mailbox).send(message(), 1)
        assert isinstance(outcome, kind), outcome
        assert getattr(outcome, "disable", False) is disables
        assert answer[:3] in outcome.reason
        assert await plain(mailbox).send(message(), 1) == Delivered(250)


async def test_nobody_at_home_is_tried_again_and_given_up_after_the_last_attempt() -> None:
    mailer = Mailer(SmtpServer("127.0.0.1", free_port(), "none"))
    assert isinstance(await mailer.send(message(), 1), Postponed)
    assert isinstance(await mailer.send(message(), 8), Failed)
