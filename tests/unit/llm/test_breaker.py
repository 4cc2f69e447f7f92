"""The circuit breaker of one model."""

import pytest

from services.kernel.llm.breaker import CircuitBreaker, State


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause=30.0, clock=time)


def fail(breaker: CircuitBreaker) -> None:
    assert breaker.may_pass()
    breaker.failed()
    breaker.release()


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker)
    fail(breaker)
    breaker.succeeded()
    for _ in range(3):
        assert breaker.state is State.CLOSED
        fail(breaker)
    assert breaker.state is State.OPEN
    assert not breaker.may_pass()


def test_after_the_pause_one_call_probes(breaker: CircuitBreaker, time: Time) -> None:
    for _ in range(3):
        fail(breaker)
    time.now += 30.0
    assert breaker.may_pass()
    assert not breaker.may_pass(), "only one"
    breaker.succeeded()
    breaker.release()
    assert breaker.state is State.CLOSED


def test_a_failed_probe_opens_it_again(breaker: CircuitBreaker, time: Time) -> None:
    for _ in range(3):
        fail(breaker)
    time.now += 30.0
    fail(breaker)
    assert breaker.state is State.OPEN
    time.now += 29.9
    assert not breaker.may_pass()


def test_a_probe_that_told_nothing_leaves_the_next_one_free(breaker: CircuitBreaker, time: Time) -> None:
    for _ in range(3):
        fail(breaker)
    time.now += 30.0
    assert breaker.may_pass()
    breaker.release()
    assert breaker.may_pass()
