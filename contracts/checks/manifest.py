"""Every message has an owner, producers and consumers, and every subscription is one Pub/Sub accepts."""

from collections import Counter
from collections.abc import Iterable

from contracts.checks.finding import Finding
from contracts.exports.catalog import Catalog
from contracts.manifest import MOST_ATTEMPTS, Subscription, Topic

_WHERE = "contracts/manifest.py"

# Limits of the Pub/Sub API: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions
_ACK_DEADLINE = (10, 600)
_MAX_ATTEMPTS = (5, MOST_ATTEMPTS)
_LONGEST_BACKOFF = 600
_LONGEST_FILTER = 256


def check_manifest(catalog: Catalog) -> list[Finding]:
    found = _check_every_message_has_a_topic(catalog)
    for topic in catalog.topics:
        found += _check_topic(topic, catalog.subscriptions)
    for subscription in catalog.subscriptions:
        found += _check_subscription(subscription, catalog.topics)
    found += _check_unique("topic", (topic.name for topic in catalog.topics))
    found += _check_unique("subscription", (subscription.name for subscription in catalog.subscriptions))
    return found


def _check_every_message_has_a_topic(catalog: Catalog) -> list[Finding]:
    carried = {topic.message for topic in catalog.topics}
    return [
        Finding(f"{message.event_type()} has no topic", _WHERE, f"add Topic({message.__name__}, owner=, producers=)")
        for message in catalog.messages
        if message not in carried
    ]


def _check_topic(topic: Topic, subscriptions: tuple[Subscription, ...]) -> list[Finding]:
    name = topic.message.__name__
    found = []
    if not topic.owner:
        found.append(Finding(f"topic {topic.name} has no owner", _WHERE, f"name the service that owns {name}"))
    if not topic.producers:
        found.append(Finding(f"topic {topic.name} has no producers", _WHERE, f"name the services that publish {name}"))
    if not any(subscription.topic == topic.name for subscription in subscriptions):
        remedy = f"add a Subscription({name}, ...) or delete the message: what nobody reads is lost"
        found.append(Finding(f"topic {topic.name} has no consumers", _WHERE, remedy))
    fields = topic.message.model_fields
    wanted = [topic.message.SUBJECT, *topic.message.FILTERABLE]
    found += [
        Finding(
            f"{name} names {field!r} in SUBJECT or FILTERABLE and has no such field",
            f"{topic.message.__module__}.{name}",
            "name one of its fields",
        )
        for field in wanted
        if field not in fields
    ]
    return found


def _check_subscription(subscription: Subscription, topics: tuple[Topic, ...]) -> list[Finding]:
    problems = []
    filterable = subscription.message.FILTERABLE
    if subscription.topic not in {topic.name for topic in topics}:
        problems.append(("reads a topic that is not declared", f"declare {subscription.topic} in TOPICS"))
    for attribute, values in subscription.filter.items():
        if attribute not in filterable:
            remedy = f"filter on one of {list(filterable)}, or add it to {subscription.message.__name__}.FILTERABLE"
            problems.append((f"filters on {attribute!r}, which is no attribute of its messages", remedy))
        if not values:
            problems.append((f"accepts no value of {attribute!r}", "name at least one, or drop the subscription"))
    return [
        Finding(f"subscription {subscription.name} {what}", _WHERE, remedy)
        for what, remedy in [*problems, *_limits(subscription)]
    ]


def _limits(sub: Subscription) -> Iterable[tuple[str, str]]:
    if not _ACK_DEADLINE[0] <= sub.ack_deadline <= _ACK_DEADLINE[1]:
        yield f"has an ack deadline of {sub.ack_deadline} s", f"Pub/Sub takes {_ACK_DEADLINE[0]} to {_ACK_DEADLINE[1]}"
    if not _MAX_ATTEMPTS[0] <= sub.max_attempts <= _MAX_ATTEMPTS[1]:
        yield f"allows {sub.max_attempts} attempts", f"Pub/Sub takes {_MAX_ATTEMPTS[0]} to {_MAX_ATTEMPTS[1]}"
    if not 0 <= sub.min_backoff <= sub.max_backoff <= _LONGEST_BACKOFF:
        what = f"backs off from {sub.min_backoff} s to {sub.max_backoff} s"
        yield what, f"Pub/Sub takes 0 to {_LONGEST_BACKOFF} s, the first not above the second"
    length = len(sub.filter_expression().encode())
    if length > _LONGEST_FILTER:
        yield f"has a filter of {length} bytes", f"Pub/Sub takes {_LONGEST_FILTER}: accept fewer values"


def _check_unique(kind: str, names: Iterable[str]) -> list[Finding]:
    return [
        Finding(f"{kind} {name} is declared {count} times", _WHERE, "keep one declaration")
        for name, count in Counter(names).items()
        if count > 1
    ]
