"""Secrets must not survive, whatever stands around them; what is no secret must."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.scrub import MASK, MAX_SCANNED, scrub

LIMIT = 16_000
_WORD = string.ascii_letters + string.digits

secrets = st.text(_WORD + "-_.~+/=!$%^*#", min_size=8, max_size=60).map(lambda text: f"s3{text}cr")
"""What a generator of passwords or keys makes; the ends keep it apart from the text around it."""
tokens = st.text(_WORD, min_size=40, max_size=80)
text_around = st.text(max_size=200)

NAMED = [
    "password={}",
    "password: {}",
    'PGPASSWORD="{}"',
    "'passwd': '{}'",
    '{{"client_secret": "{}"}}',
    "GEMINI_API_KEY={}",
    "api-key: {}",
    "x-api-key={}",
    "Authorization: Bearer {}",
    "authorization: Basic {}",
    "connect(host='db', password='{}')",
    "SecretStr token => {}",
    "private_key_id = {}",
    "AccountKey={}",
    "Cookie: {}",
    "postgresql://app:{}@db.internal:5432/main",
    "amqp://:{}@queue",
    "https://{}@example.com/repository.git",
]
SHAPED = ["AIza{}", "ghp_{}", "github_pat_{}", "sk-{}", "sk_live_{}", "whsec_{}", "xoxb-{}", "ya29.{}", "glpat-{}"]


@pytest.mark.parametrize("template", NAMED)
@given(secret=secrets, before=text_around, after=text_around)
def test_a_secret_that_is_named_does_not_survive(template: str, secret: str, before: str, after: str) -> None:
    if "://" in template:  # a path, a query or a fragment would begin there
        secret = secret.replace("/", "x").replace("#", "y")
    scrubbed = scrub(f"{before}\n{template.format(secret)}\n{after}", LIMIT)
    assert secret not in scrubbed
    assert MASK in scrubbed


@pytest.mark.parametrize("template", SHAPED)
@given(token=tokens)
def test_a_token_with_a_known_shape_does_not_survive_anywhere(template: str, token: str) -> None:
    assert token not in scrub(f"the server said {template.format(token)}, so there", LIMIT)


@given(body=st.lists(st.text(_WORD + "+/", min_size=64, max_size=64), min_size=1, max_size=20), cut=st.booleans())
def test_a_private_key_does_not_survive_even_when_its_ends_are_missing(body: list[str], cut: bool) -> None:
    key = "\n".join(body)
    whole = key if cut else f"-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----"
    scrubbed = scrub(f"loaded\n{whole}\nfailed", LIMIT)
    assert not any(line in scrubbed for line in body)
    assert scrubbed.startswith("loaded\n")
    assert scrubbed.endswith("\nfailed")


def test_a_quoted_value_may_hold_spaces_and_escaped_quotes() -> None:
    assert scrub(r"password='two words \' more' next", LIMIT) == f"password={MASK} next"
    assert scrub('token="never closed and long', LIMIT) == f"token={MASK}"


@pytest.mark.parametrize("password", ["p@ss", "p:ss", "p/ss", "p@s:s/w@rd"])
def test_a_password_in_an_address_may_hold_its_delimiters(password: str) -> None:
    assert (
        scrub(f"no route to postgresql://app:{password}@db/main", LIMIT) == f"no route to postgresql://{MASK}@db/main"
    )


@given(st.text(max_size=500))
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    once = scrub(text, LIMIT)
    assert scrub(once, LIMIT) == once


@given(st.text(max_size=500), st.integers(1, 100))
def test_the_result_is_bounded_and_printable(text: str, limit: int) -> None:
    scrubbed = scrub(text, limit)
    assert len(scrubbed) <= limit
    assert all(character in "\n\t" or character.isprintable() for character in scrubbed)


def test_an_ordinary_traceback_stays_as_it_is() -> None:
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "/app/services/grader/handlers.py", line 41, in grade\n'
        "    rows = await run(query)\n"
        "services.kernel.errors.TransientError: no answer from https://bigquery.googleapis.com/v2/projects in 30 s\n"
        "job 0b1f3c52-5c1c-4bd9-8c5e-2f3f3ad0a9a1, trace 4bf92f3577b34da6a3ce929d0e0e4736, 오류가 발생했습니다"
    )
    assert scrub(traceback, LIMIT) == traceback


def test_a_long_trace_keeps_its_end_in_whole_lines() -> None:
    trace = "\n".join(f"frame {number}" for number in range(10_000)) + "\nValueError: why"
    scrubbed = scrub(trace, 100)
    assert scrubbed.endswith("\nValueError: why")
    assert scrubbed.startswith("frame ")


@pytest.mark.parametrize(
    "seed", ["password", "password=", "://a:", "://@", "-----BEGIN PRIVATE KEY-----", "eyJ", "a.", "'\\"]
)
def test_hostile_repetition_is_worked_off_in_bounded_time(seed: str) -> None:
    """A pattern that backtracks would run into the test's time-out here."""
    scrubbed = scrub(seed * (2 * MAX_SCANNED // len(seed)), LIMIT)
    assert 0 < len(scrubbed) <= LIMIT
