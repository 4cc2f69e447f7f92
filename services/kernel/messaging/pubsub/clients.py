"""Subscriber clients, for the service and for its emulator."""

import os
from typing import Any

from google.cloud import pubsub_v1

_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def subscriber_client() -> Any:
    """A client with a channel of its own that takes messages of any size.

    For an emulator the library opens a channel with gRPC's default limit of 4 MB, so it is given one.
    """
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not emulator:
        return pubsub_v1.SubscriberClient()
    import grpc
    from google.pubsub_v1.services.subscriber.transports.grpc import SubscriberGrpcTransport

    channel = grpc.insecure_channel(emulator, options=_UNLIMITED)
    return pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
