"""What a mail says, as plain text in Korean or English. Pure."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from zoneinfo import ZoneInfo

from services.notifier.ports import Stored
from services.notifier.views import NotificationView, view

MAX_SUBJECT = 150
MAX_DIGEST_ERROR = 300
_IDS = uuid.UUID("0f3d2c75-6a08-5b0e-8a41-5d1d4c1f6f10")
_LABELS = {
    "ko": ("종류", "심각도", "대상", "시각", "오류", "추적 id", "프로젝트", "스택 추적"),
    "en": ("Type", "Severity", "About", "Time", "Error", "Trace id", "Project", "Stack trace"),
}
_FOOTERS = {
    "ko": "이 메일은 QueryCraft 알림 설정에 따라 발송되었습니다. 설정에서 이 구독을 삭제하면 더 이상 오지 않습니다.",
    "en": "You get this mail because you subscribed to QueryCraft notifications; remove the subscription to stop it.",
}


@dataclass(frozen=True)
class Reader:
    """``everything``: an administrator's subscription, which also sees what goes on inside the platform."""

    address: str
    locale: str
    zone: ZoneInfo
    everything: bool


def compose(reader: Reader, sender: str, facts: Sequence[Stored], total: int, identity: str) -> EmailMessage:
    """One mail about one notification, or a digest of ``total`` that tells ``facts``, its first ones, in full.

    ``identity``: what the mail is about; the same one sent again carries the same Message-ID.
    """
    views = [view(stored, administrator=reader.everything) for stored in facts]
    first = views[0].text.ko if reader.locale == "ko" else views[0].text.en
    if total == 1:
        return _message(reader, sender, first, _single(reader, views[0]), identity)
    subject = f"알림 {total}건: {first}" if reader.locale == "ko" else f"{total} notifications: {first}"
    return _message(reader, sender, subject, _digest(reader, views, total), identity)


def confirmation(reader: Reader, sender: str, subscription_id: uuid.UUID, token: str, hours: int) -> EmailMessage:
    """Asks the address's owner to agree; ``token`` proves that the mail was read."""
    if reader.locale == "ko":
        subject = "메일 알림을 확인해 주세요"
        body = (
            f"이 주소로 QueryCraft 알림을 받으려면 {hours}시간 안에 아래 코드를 입력하세요.\n"
            f"요청하지 않으셨다면 무시하세요. 더 이상 메일이 가지 않습니다.\n\n구독: {subscription_id}\n코드: {token}"
        )
    else:
        subject = "Confirm your e-mail notifications"
        body = (
            f"To get QueryCraft notifications at this address, enter this code within {hours} hours.\n"
            "If you did not ask for this, ignore it: nothing more will come.\n\n"
            f"Subscription: {subscription_id}\nCode: {token}"
        )
    return _message(reader, sender, subject, body, f"confirm {subscription_id}")


def _message(reader: Reader, sender: str, subject: str, body: str, identity: str) -> EmailMessage:
    """``EmailMessage`` refuses line breaks in headers; the subject, made of others' words, loses them before."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("QueryCraft", addr_spec=sender)
    message["To"] = Address(addr_spec=reader.address)
    message["Subject"] = f"[QueryCraft] {_one_line(subject)}"
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{uuid.uuid5(_IDS, f'{reader.address} {identity}')}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday note shall answer
    message.set_content(f"{body}\n\n-- \n{_FOOTERS[reader.locale]}\n", cte="base64")
    return message


def _one_line(text: str) -> str:
    """Printable, on one line, of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_SUBJECT else f"{line[: MAX_SUBJECT - 1]}…"


def _single(reader: Reader, fact: NotificationView) -> str:
    type_, severity, about, time, error, trace, project, stack = _LABELS[reader.locale]
    lines = [
        fact.text.ko if reader.locale == "ko" else fact.text.en,
        "",
        f"{type_}: {fact.type}",
        f"{severity}: {fact.severity}",
        f"{time}: {_moment(reader, fact)}",
    ]
    for label, value in ((about, fact.about), (trace, fact.trace_id), (project, fact.project_id)):
        if value:
            lines.append(f"{label}: {value}")
    for label, value in ((error, fact.error_message), (stack, fact.stack_trace)):
        if value:
            lines += ["", f"{label}:", value]
    return "\n".join(lines)


def _digest(reader: Reader, facts: Sequence[NotificationView], total: int) -> str:
    lines = [f"알림 {total}건입니다." if reader.locale == "ko" else f"{total} notifications.", ""]
    for fact in facts:
        text = fact.text.ko if reader.locale == "ko" else fact.text.en
        about = f" ({fact.about})" if fact.about else ""
        lines.append(f"* {_moment(reader, fact)} [{fact.severity}] {text}{about}")
        if fact.error_message:
            lines.append(f"  {_one_line(fact.error_message[-MAX_DIGEST_ERROR:])}")
    if (more := total - len(facts)) > 0:
        lines += ["", f"그 밖에 {more}건이 더 있습니다." if reader.locale == "ko" else f"... and {more} more."]
    return "\n".join(lines)


def _moment(reader: Reader, fact: NotificationView) -> str:
    return fact.timestamp.astimezone(reader.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
