"""What mails say, and that nobody's words can add a header or a recipient."""

import dataclasses
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from contracts.problems import LocaleText
from services.notifier.domain import Origin, decide
from services.notifier.mail.address import ADDRESS
from services.notifier.mail.compose import MAX_SUBJECT, Reader, compose
from services.notifier.ports import Stored
from services.notifier.settings import NotifierSettings
from tests.support.notifier_events import alert

SEOUL = ZoneInfo("Asia/Seoul")
HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
}


class Addressed(BaseModel):
    address: str = Field(pattern=ADDRESS)


def reader(locale: str = "en", *, everything: bool = False) -> Reader:
    return Reader("mina@example.com", locale, SEOUL, everything)


def stored(text: str = "", **fields: str) -> Stored:
    notification = decide(alert(**fields), Origin("a project", "a trace"))
    assert notification is not None
    if text:
        notification = dataclasses.replace(notification, text=LocaleText(ko=text, en=text))
    return Stored(1, datetime.now(UTC), notification)


def sent(message: EmailMessage) -> EmailMessage:
    """As the receiver reads it."""
    read = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


@given(
    st.text(min_size=1).filter(str.strip) | st.sampled_from(["a\r\nBcc: jun@example.com", "a\n\nbody", "a\u2028X: y"])
)
def test_no_text_adds_a_header_or_ends_the_head(text: str) -> None:
    text = text.encode(errors="ignore").decode() or "x"
    for total in (1, 3):
        message = sent(compose(reader(), "from@example.com", [stored(text, error_message=text)], total, "id"))
        assert set(message.keys()) == HEADERS
        assert message["To"] == "mina@example.com"
        assert len(message["Subject"]) <= MAX_SUBJECT + len("[QueryCraft] ")


@pytest.mark.parametrize(
    "address",
    [
        "a@b.c\nBcc: d@e.f",
        "a@b.c\n",
        "a b@c.d",
        "a@b.c,d@e.f",
        "<a@b.c>",
        '"a b"@c.d',
        "a@b..c",
        ".a@b.c",
        "a@-b.c",
        "a",
        "@b.c",
        "é@b.c",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValidationError):
        Addressed(address=address)


@pytest.mark.parametrize("address", ["mina.kim+sql@example.co.kr", "o'neil@localhost", "a@xn--9n2bp8q.kr"])
def test_what_is_an_address(address: str) -> None:
    assert (
        sent(compose(Reader(Addressed(address=address).address, "ko", SEOUL, False), "f@g.h", [stored()], 1, "i"))["To"]
        == address
    )


def test_both_languages_tell_the_same_fact_at_the_readers_hour() -> None:
    fact = stored(about="p.d.t", error_message="why it failed", raised_at=datetime(2026, 11, 21, 15, tzinfo=UTC))
    english, korean = (sent(compose(reader(one), "from@example.com", [fact], 1, "id")) for one in ("en", "ko"))
    # Python folds a subject of just over a line behind its name; readers drop the space this leaves.
    assert english["Subject"].strip() == "[QueryCraft] [grader] A message could not be processed and was set aside."
    assert korean["Subject"].strip() == "[QueryCraft] [grader] 처리할 수 없는 메시지가 보관되었습니다."
    for mail in (english, korean):
        body = mail.get_content()
        for part in ("p.d.t", "why it failed", "2026-11-22 00:00:00 KST", "a trace", "dead_letter"):
            assert part in body


def test_only_administrators_read_what_goes_on_inside() -> None:
    fact = stored(stack_trace="line 1", error_message="why")
    for everything in (False, True):
        body = sent(compose(reader(everything=everything), "from@example.com", [fact], 1, "id")).get_content()
        assert ("line 1" in body, "a project" in body) == (everything, everything)


def test_the_same_mail_again_has_the_same_id_and_another_another() -> None:
    fact = stored()
    ids = [compose(reader(), "from@example.com", [fact], 1, identity)["Message-ID"] for identity in ("a", "a", "b")]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    "fields",
    [
        {"smtp_host": "mail"},
        {"smtp_host": "mail", "smtp_from": "no address"},
        {"smtp_host": "mail", "smtp_from": "a@b.c", "smtp_user": "app"},
        {
            "smtp_host": "mail",
            "smtp_from": "a@b.c",
            "smtp_user": "app",
            "smtp_password": "x",
            "smtp_security": "none",
        },
    ],
)
def test_half_set_mail_settings_are_refused_and_show_no_password(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        NotifierSettings(database_url="postgresql://notifier@host/db", **fields)


def test_the_password_is_shown_nowhere() -> None:
    settings = NotifierSettings(
        database_url="postgresql://notifier@host/db",
        smtp_host="mail",
        smtp_from="a@b.c",
        smtp_user="app",
        smtp_password="hidden from logs",
    )
    assert "hidden" not in repr(settings)
