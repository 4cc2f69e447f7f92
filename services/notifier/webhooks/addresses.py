"""Which addresses a webhook may reach: public ones only, so that nobody makes us knock on our own doors.

Source: OWASP, Server-Side Request Forgery Prevention; the IANA special-purpose address registries, as
``ipaddress`` knows them. An address that carries another one inside is judged by both.
"""

import ipaddress
from urllib.parse import urlsplit

from services.kernel.errors import PermanentError

MAX_URL = 2_048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Special-purpose ranges that ``is_global`` of Python 3.11 still takes for public, in part or as a whole.
_RESERVED = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("192.88.99.0/24"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(PermanentError):
    """The webhook points where webhooks may not go."""

    code = "address_refused"


def check_url(url: str, *, allow_loopback: bool = False) -> tuple[str, int]:
    """Host and port of ``url``. ``allow_loopback`` is for tests: it also takes plain HTTP; the
    sender then holds it to loopback addresses.

    Raises:
        AddressRefused: says what is wrong with the URL.
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise AddressRefused(f"a webhook's URL has at most {MAX_URL} printable ASCII characters and no spaces")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused(f"not a URL: {error}") from error
    if not host:
        raise AddressRefused("a webhook's URL names a host")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("a webhook's URL carries no user and no password")
    if parts.fragment:
        raise AddressRefused("a webhook's URL has no fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_loopback):
        raise AddressRefused("a webhook's URL begins with https://")
    if (literal := _literal(host)) is not None:
        check_address(literal, allow_loopback=allow_loopback)
    return host, port or (443 if parts.scheme == "https" else 80)


def check_address(address: Address, *, allow_loopback: bool = False) -> None:
    """Raises AddressRefused: not a public unicast address, or one that hides another that is not."""
    if allow_loopback and address.is_loopback:
        return
    if not _is_public(address):
        raise AddressRefused(f"{address} is not a public address")


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in net for net in _RESERVED)
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    embedded = [address.sixtofour] if address.sixtofour is not None else list(address.teredo or ())
    return address in _GLOBAL_UNICAST and address.is_global and all(_is_public(inner) for inner in embedded)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
