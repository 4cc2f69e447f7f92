"""Posts one signed message to one receiver, and only to where webhooks may go."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.notifier.schedule import Failed, Outcome, judge, postpone
from services.notifier.webhooks.addresses import AddressRefused, check_address, check_url

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 15.0
"""For everything together: resolving, connecting, sending and the head of the answer."""


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port -> its addresses. Raises OSError."""


async def resolve(host: str, port: int) -> list[str]:
    """As the operating system says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class Sender:
    """``allow_loopback`` is for tests: see ``check_url``. ``tls``: whom to trust; by default the public authorities."""

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        timeout: float = TIMEOUT_SECONDS,
        resolver: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._timeout = timeout
        self._resolver = resolver
        self._tls = tls
        self._client: httpx.AsyncClient | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, attempt: int) -> Outcome:
        """What became of it; never raises for anything the receiver does."""
        import httpx

        try:
            async with asyncio.timeout(self._timeout):
                host, port = check_url(url, allow_loopback=self._allow_loopback)
                address = await self._resolve(host, port, secure=url.startswith("https://"))
                return await self._post(url, host, address, headers, body, attempt)
        except AddressRefused as refused:
            return Failed(None, str(refused))
        except TimeoutError:
            return postpone(attempt, f"no answer within {self._timeout:.0f} s")
        except (httpx.HTTPError, OSError, ssl.SSLError, UnicodeError) as error:
            return postpone(attempt, f"cannot reach the receiver: {type(error).__name__}: {error}"[:500])

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _resolve(self, host: str, port: int, *, secure: bool) -> str:
        """The one address to connect to. The name is never looked up again: a second look could see another.

        Raises:
            AddressRefused: any of the host's addresses is not public.
            OSError: the name cannot be resolved.
        """
        addresses = await self._resolver(host, port)
        if not addresses:
            raise OSError(f"{host} has no address")
        for address in map(ipaddress.ip_address, addresses):
            check_address(address, allow_loopback=self._allow_loopback)
            if not secure and not address.is_loopback:
                raise AddressRefused("a webhook's URL begins with https://")
        return addresses[0]

    async def _post(
        self, url: str, host: str, address: str, headers: Mapping[str, str], body: bytes, attempt: int
    ) -> Outcome:
        parts = urlsplit(url)
        pinned = f"[{address}]" if ":" in address else address
        target = parts._replace(netloc=f"{pinned}:{parts.port}" if parts.port else pinned).geturl()
        async with self._opened().stream(
            "POST",
            target,
            content=body,
            headers={
                "Host": parts.netloc,
                "Content-Type": "application/json",
                "User-Agent": "QueryCraft-Webhooks/1",
                **headers,
            },
            extensions={"sni_hostname": host},  # the certificate must be the named host's, not the address's
        ) as answer:  # the answer's body is nobody's business, and may be endless: it is not read
            return judge(answer.status_code, attempt, answer.headers.get("retry-after"), datetime.now(UTC))

    def _opened(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(
                follow_redirects=False,
                trust_env=False,  # a proxy would resolve the name itself
                timeout=self._timeout,
                verify=self._tls or True,
                # Connections are kept by address; two hosts may share one and must not share a connection.
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._client
