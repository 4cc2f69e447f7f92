"""Signatures, addresses and retries of webhooks."""

import base64
import hashlib
import hmac
import ipaddress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import schedule
from services.notifier.schedule import Delivered, Failed, Postponed, judge
from services.notifier.webhooks.addresses import AddressRefused, check_address, check_url
from services.notifier.webhooks.signing import new_secret, signed_headers

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "0.0.0.0",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::",
    "2001:0:a9fe:a9fe::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "142.250.76.142", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


def test_the_specifications_own_example_is_signed_as_it_says() -> None:
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(max_size=200))
def test_while_a_secret_is_rotated_either_verifies(body: bytes) -> None:
    keys = [new_secret(), new_secret()]
    headers = signed_headers("id", NOW, body, keys)
    signatures = headers["webhook-signature"].split(" ")
    for key, signature in zip(keys, signatures, strict=True):
        raw = base64.b64decode(key.removeprefix("whsec_"))
        signed = f"id.{int(NOW.timestamp())}.".encode() + body
        expected = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
        assert signature == f"v1,{expected}"


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_inside_is_reached(address: str) -> None:
    with pytest.raises(AddressRefused):
        check_address(ipaddress.ip_address(address))
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(AddressRefused):
        check_url(f"https://{literal}/hook")


def refused(address: str) -> bool:
    try:
        check_address(ipaddress.ip_address(address))
    except AddressRefused:
        return True
    return False


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert not refused(address)


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_never_opens_a_door(inner: ipaddress.IPv4Address) -> None:
    for wrapped in (f"::ffff:{inner}", f"64:ff9b::{inner}"):
        assert refused(wrapped) == refused(str(inner)), wrapped


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "//example.com/hook",
        "http://example.com/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "https://user@example.com/hook",
        "https://user:secret@example.com/hook",
        "https://example.com/hook#part",
        "https://example.com:99999/hook",
        "https://example.com:port/hook",
        "https://exa mple.com/hook",
        "https://example.com\\@10.0.0.1/hook",
        "https://exämple.com/hook",
        "https://example.com/\r\nHost: inside",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://example.com/" + "x" * 2_048,
        "http://127.0.0.1/hook",
    ],
)
def test_a_url_that_is_none_of_ours_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url)


def test_a_good_url_gives_host_and_port() -> None:
    assert check_url("https://Example.com/hook?a=b") == ("example.com", 443)
    assert check_url("https://example.com:8443") == ("example.com", 8443)


def test_loopback_is_for_tests_and_opens_nothing_else() -> None:
    assert check_url("http://127.0.0.1:81/hook", allow_loopback=True) == ("127.0.0.1", 81)
    for url in ("http://10.0.0.1/hook", "https://169.254.169.254/hook"):
        with pytest.raises(AddressRefused):
            check_url(url, allow_loopback=True)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert judge(status, 1, None, NOW) == Delivered(status)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_everything_else_is_tried_again_over_hours(status: int) -> None:
    outcomes = [judge(status, attempt, None, NOW) for attempt in range(1, 9)]
    waits = [outcome.wait for outcome in outcomes if isinstance(outcome, Postponed)]
    assert len(waits) == 7
    assert waits == sorted(waits) or waits[-2:] != sorted(waits[-2:])  # the last two differ by jitter alone
    assert 24 * 3600 < sum(waits) < 36 * 3600
    assert isinstance(outcomes[-1], Failed)
    assert not outcomes[-1].disable


def test_410_disables() -> None:
    outcome = judge(410, 1, None, NOW)
    assert isinstance(outcome, Failed)
    assert outcome.disable


@pytest.mark.parametrize(
    ("header", "at_least", "at_most"),
    [
        ("120", 120, 132),
        (format_datetime(NOW + timedelta(seconds=600)), 600, 660),
        ("99999999999", schedule.MAX_RETRY_AFTER, schedule.MAX_RETRY_AFTER * 1.1),
        ("1", 5, 5.5),
        ("soon", 5, 5.5),
        ("-7", 5, 5.5),
        (format_datetime(NOW - timedelta(days=1)), 5, 5.5),
    ],
)
def test_retry_after_is_heeded_within_bounds(header: str, at_least: float, at_most: float) -> None:
    outcome = judge(503, 1, header, NOW)
    assert isinstance(outcome, Postponed)
    assert at_least <= outcome.wait <= at_most
