"""Free TCP ports on this machine."""

import socket


def free_port() -> int:
    """A port nobody listens on now; the caller should bind it soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
