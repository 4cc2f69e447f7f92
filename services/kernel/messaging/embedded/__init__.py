"""The embedded broker: Pub/Sub's semantics over Postgres, on PgQueuer's queue.

One PgQueuer entrypoint per subscription; a published message becomes one row for each
subscription whose filter accepts it, so every subscription is settled on its own.
"""

from services.kernel.messaging.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
