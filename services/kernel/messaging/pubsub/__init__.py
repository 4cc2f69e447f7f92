"""Google Cloud Pub/Sub, or its emulator when ``PUBSUB_EMULATOR_HOST`` is set.

Nothing here imports the client library before a broker is built: it costs a service a
second of its start.
"""

from services.kernel.messaging.pubsub.broker import PubSubBroker

__all__ = ["PubSubBroker"]
