"""Subscriber clients, for the service and for its emulator."""

import os
import queue
import threading
from collections.abc import Iterator
from typing import Any

from google.cloud import pubsub_v1

_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class SubscriberClient(pubsub_v1.SubscriberClient):  # type: ignore[misc]  # the client ships no types
    """The client for one stream, which it can end in order: by sending nothing more, as gRPC means it.

    The library only cancels. The emulator does not notice that, and goes on delivering into
    cancelled streams.
    """

    _outgoing: "queue.Queue[Any] | None" = None

    def streaming_pull(self, requests: Iterator[Any] | None = None, **options: Any) -> Any:
        """Called by the library to open the stream, and again to open it anew."""
        outgoing: queue.Queue[Any] = queue.Queue()
        self._outgoing = outgoing
        threading.Thread(target=_forward, args=(requests, outgoing), name="pubsub-requests", daemon=True).start()
        return super().streaming_pull(iter(outgoing.get, None), **options)

    def finish(self) -> None:
        """Tell the service that nothing more is wanted; it then ends the stream."""
        if self._outgoing is not None:
            self._outgoing.put(None)


def subscriber_client() -> SubscriberClient:
    """A client with a channel of its own that takes messages of any size.

    For an emulator the library opens a channel with gRPC's default limit of 4 MB, so it is given one.
    """
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not emulator:
        return SubscriberClient()
    import grpc
    from google.pubsub_v1.services.subscriber.transports.grpc import SubscriberGrpcTransport

    channel = grpc.insecure_channel(emulator, options=_UNLIMITED)
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def _forward(requests: Iterator[Any], outgoing: "queue.Queue[Any]") -> None:
    for request in requests:
        outgoing.put(request)
    outgoing.put(None)
