"""The manifest as input for Terraform, which creates every topic and subscription from it."""

from contracts.exports.catalog import Catalog, Json
from contracts.manifest import RETENTION_SECONDS, Subscription, Topic


def tfvars(catalog: Catalog) -> Json:
    """Values of the variables ``topics`` and ``subscriptions`` in terraform/variables.tf."""
    return {
        "topics": {topic.name: _topic(catalog, topic) for topic in catalog.topics},
        "subscriptions": {sub.name: _subscription(sub) for sub in catalog.subscriptions},
    }


def _topic(catalog: Catalog, topic: Topic) -> Json:
    return {
        "owner": topic.owner,
        "producers": list(topic.producers),
        "schema_file": catalog.where(catalog.avro(topic.message, topic.message.REVISION)),
    }


def _subscription(sub: Subscription) -> Json:
    return {
        "topic": sub.topic,
        "consumer": sub.consumer,
        "filter": sub.filter_expression(),
        "ack_deadline_seconds": sub.ack_deadline,
        "dead_letter_topic": sub.dead_letter_topic,
        "max_delivery_attempts": sub.backstop_attempts,
        "minimum_backoff": f"{sub.min_backoff:g}s",
        "maximum_backoff": f"{sub.max_backoff:g}s",
        "message_retention": f"{RETENTION_SECONDS}s",
        "enable_message_ordering": sub.ordered,
    }
