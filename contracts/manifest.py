"""The one declaration of every topic and subscription.

Terraform, the embedded broker and the tests create them from here; services only
check that theirs exist and fail fast when one is missing.
"""

import json
from dataclasses import dataclass, field

from contracts.alerts import AlertRaised, NotificationPublished
from contracts.jobs import (
    JobCancelled,
    JobFailed,
    JobProgressed,
    JobRequested,
    JobSucceeded,
    JobType,
    ScheduleDue,
)
from contracts.message import Message
from contracts.metadata import MetadataRefreshed
from contracts.problems import ProblemPublished
from contracts.submissions import SubmissionGraded

WORKERS: dict[str, tuple[JobType, ...]] = {
    "generator": (JobType.PROBLEM_GENERATION, JobType.DAILY_TIP),
    "grader": (JobType.GRADING,),
    "insights": (JobType.REPORT, JobType.PREDICTION),
    "metadata": (JobType.METADATA_REFRESH,),
    "assistant": (JobType.TRIAGE, JobType.ANALYSIS, JobType.OPTIMIZATION),
}
"""Which service serves which job types. A type missing here is refused at the door."""

BACKSTOP_ATTEMPTS = 5
MOST_ATTEMPTS = 100
"""Pub/Sub's own limit on delivery attempts."""
RETENTION_SECONDS = 7 * 24 * 3600
"""How long a subscription keeps what nobody has acknowledged."""


@dataclass(frozen=True)
class Topic:
    """A stream of messages of one type and version. ``owner`` may change its schema."""

    message: type[Message]
    owner: str
    producers: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.message.topic()


@dataclass(frozen=True)
class Subscription:
    """One consumer's own copy of a topic.

    ``filter``: attribute name -> accepted values; every named attribute must match.
    ``ack_deadline``, ``min_backoff``, ``max_backoff``: seconds.
    ``max_attempts``: deliveries after which a failing message becomes a dead letter.
    """

    message: type[Message]
    consumer: str
    filter: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ack_deadline: int = 30
    max_attempts: int = 10
    min_backoff: float = 1.0
    max_backoff: float = 60.0
    ordered: bool = False
    dead_letter_limit: int = 1000

    @property
    def topic(self) -> str:
        return self.message.topic()

    @property
    def name(self) -> str:
        return f"{self.consumer}.{self.topic}"

    def accepts(self, attributes: dict[str, str]) -> bool:
        return all(attributes.get(name) in values for name, values in self.filter.items())

    def filter_expression(self) -> str:
        """``filter`` in Pub/Sub's filter language; empty accepts everything.

        Source: https://cloud.google.com/pubsub/docs/subscription-message-filter#filtering_syntax
        """
        clauses = []
        for name, values in self.filter.items():
            accepted = " OR ".join(f"attributes.{name} = {json.dumps(value)}" for value in values)
            clauses.append(f"({accepted})" if len(values) > 1 else accepted)
        return " AND ".join(clauses)

    @property
    def dead_letter_topic(self) -> str:
        """Where Pub/Sub itself sets aside what consumers that die could not bury."""
        return f"dead-letters.{self.name}"

    @property
    def backstop_attempts(self) -> int:
        """Deliveries before that happens: enough past ``max_attempts`` that a living consumer buries first."""
        return min(self.max_attempts + BACKSTOP_ATTEMPTS, MOST_ATTEMPTS)


_EVERY_WORKER = tuple(WORKERS)

TOPICS: tuple[Topic, ...] = (
    Topic(JobRequested, owner="intake", producers=("intake",)),
    Topic(JobProgressed, owner="intake", producers=_EVERY_WORKER),
    Topic(JobSucceeded, owner="intake", producers=_EVERY_WORKER),
    Topic(JobFailed, owner="intake", producers=("intake", *_EVERY_WORKER)),
    Topic(JobCancelled, owner="intake", producers=("intake",)),
    Topic(ScheduleDue, owner="intake", producers=("intake", "cloud-scheduler")),
    Topic(ProblemPublished, owner="generator", producers=("generator",)),
    Topic(SubmissionGraded, owner="grader", producers=("grader",)),
    Topic(MetadataRefreshed, owner="metadata", producers=("metadata",)),
    Topic(AlertRaised, owner="notifier", producers=("intake", "notifier", *_EVERY_WORKER)),
    Topic(NotificationPublished, owner="notifier", producers=("notifier",)),
)


def _worker_subscriptions(service: str, types: tuple[JobType, ...]) -> tuple[Subscription, ...]:
    accepted = {"job_type": tuple(str(job_type) for job_type in types)}
    return (
        Subscription(JobRequested, service, filter=accepted, ack_deadline=60),
        Subscription(JobCancelled, service, filter=accepted),
    )


SUBSCRIPTIONS: tuple[Subscription, ...] = (
    Subscription(JobProgressed, "intake"),
    Subscription(JobSucceeded, "intake"),
    Subscription(JobFailed, "intake"),
    Subscription(ScheduleDue, "intake"),
    *(sub for service, types in WORKERS.items() for sub in _worker_subscriptions(service, types)),
    Subscription(ProblemPublished, "grader"),
    Subscription(ProblemPublished, "assistant"),
    Subscription(ProblemPublished, "insights"),
    Subscription(SubmissionGraded, "insights"),
    Subscription(JobSucceeded, "notifier"),
    Subscription(JobFailed, "notifier"),
    Subscription(JobCancelled, "notifier"),
    Subscription(SubmissionGraded, "notifier"),
    Subscription(AlertRaised, "notifier"),
    Subscription(NotificationPublished, "outside"),
    Subscription(MetadataRefreshed, "generator"),
    Subscription(MetadataRefreshed, "outside"),
)
"""``outside`` names the taps for readers beyond the platform: people and systems that read
alerts, and clients of the metadata cache that want to know when a table's entry changed."""


def topic_of(event_type: str) -> Topic:
    """Raises KeyError: no topic carries this CloudEvents type."""
    return _TOPIC_BY_EVENT_TYPE[event_type]


def subscriptions_of(consumer: str) -> tuple[Subscription, ...]:
    return tuple(sub for sub in SUBSCRIPTIONS if sub.consumer == consumer)


def subscriptions_to(topic: str) -> tuple[Subscription, ...]:
    return tuple(sub for sub in SUBSCRIPTIONS if sub.topic == topic)


_TOPIC_BY_EVENT_TYPE = {topic.message.event_type(): topic for topic in TOPICS}
