"""Which events become notifications, and for whom."""

import pytest

from contracts.message import Message
from contracts.metadata import MetadataRefreshed
from services.kernel.errors import PermanentError
from services.notifier.domain import Audience, Kind, Notification, Origin, Severity, decide
from tests.support.notifier_events import alert, cancelled, failed, graded, succeeded

ORIGIN = Origin("project", "trace")


def told(message: Message) -> Notification:
    notification = decide(message, ORIGIN)
    assert notification is not None
    return notification


@pytest.mark.parametrize("make", [succeeded, failed, cancelled, graded])
@pytest.mark.parametrize(("user_id", "audience"), [("mina", Audience.USER), ("", Audience.HOLDER)])
def test_what_concerns_a_job_is_for_its_owner_or_the_holder_of_its_id(make, user_id: str, audience: Audience) -> None:
    message = make(user_id=user_id)
    notification = told(message)
    assert (notification.audience, notification.user_id, notification.about) == (audience, user_id, message.job_id)
    assert (notification.project_id, notification.trace_id) == ("project", "trace")


@pytest.mark.parametrize("message", [succeeded(job_type="grading"), cancelled(was_running=False)])
def test_what_tells_nobody_anything_new_becomes_no_notification(message: Message) -> None:
    assert decide(message, ORIGIN) is None


@pytest.mark.parametrize(
    ("fields", "audience"),
    [
        ({"user_id": "mina"}, Audience.USER),
        ({}, Audience.ADMINISTRATORS),
        ({"details": '{"audience": "everyone"}'}, Audience.EVERYONE),
        ({"details": '{"audience": "everyone"}', "user_id": "mina"}, Audience.USER),
        ({"details": '["everyone"]'}, Audience.ADMINISTRATORS),
        ({"details": '{"audience": "administrators"}'}, Audience.ADMINISTRATORS),
    ],
)
def test_an_alert_finds_its_audience(fields: dict[str, str], audience: Audience) -> None:
    assert told(alert(**fields)).audience is audience


def test_an_alert_carries_its_own_trace_and_project() -> None:
    notification = told(alert(trace_id="its trace", project_id="its project"))
    assert (notification.trace_id, notification.project_id) == ("its trace", "its project")


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("warning", Severity.WARNING),
        ("CRITICAL", Severity.CRITICAL),
        ("apocalyptic", Severity.ERROR),
        ("", Severity.ERROR),
    ],
)
def test_an_unknown_severity_counts_as_an_error(word: str, severity: Severity) -> None:
    assert told(alert(severity=word)).severity is severity


def test_the_same_fact_has_one_id_and_another_fact_another() -> None:
    job = failed()
    again = failed(job_id=job.job_id, error_message="in other words")
    # A worker that is given a job again, because nobody heard its end, tells the end again under the newer fence.
    anew = failed(job_id=job.job_id, fence=2)
    assert told(job).id == told(again).id == told(anew).id
    others = [
        failed(),
        succeeded(job_id=job.job_id),
        alert(source="a/b", alert_id="c"),
        alert(source="a", alert_id="b/c"),
    ]
    assert len({told(message).id for message in (job, *others)}) == 5


@pytest.mark.parametrize(
    "message",
    [
        failed(user_id="a\nb"),
        failed(user_id="x" * 256),
        failed(job_id="\x1b[2J"),
        alert(about="x" * 1_101),
        alert(alert_type="\0"),
        MetadataRefreshed(
            table_id="a.b.c",
            change="changed",
            fingerprint="f",
            cache_uri="gs://b/o",
            columns_count=1,
            examples_count=0,
            generated_at=alert().raised_at,
        ),
    ],
)
def test_what_can_never_be_told_is_refused_for_good(message: Message) -> None:
    with pytest.raises(PermanentError):
        decide(message, ORIGIN)


def test_texts_exist_in_both_languages() -> None:
    messages = [
        succeeded(job_type="daily_tip"),
        succeeded(job_type="a type of tomorrow"),
        failed(retryable=True),
        cancelled(),
        graded(verdict="correct", score=1.0),
        graded(verdict="wrong", score=0.25),
        alert(),
        alert(alert_type="something new"),
    ]
    texts = [told(message).text for message in messages]
    assert all(text.ko and text.en and text.ko != text.en for text in texts)
    assert len({text.en for text in texts}) == len(texts)
    assert texts[5].en == "Your answer is wrong. Partial credit: 25 %."


def test_the_message_for_subscribers_says_all_the_requirements_name() -> None:
    message = failed(error_message="why")
    published = told(message).published()
    assert published.kind == Kind.ALERT
    assert (published.type, published.error_message, published.timestamp) == ("job_failed", "why", message.finished_at)
    assert (published.project_id, published.trace_id) == ("project", "trace")
