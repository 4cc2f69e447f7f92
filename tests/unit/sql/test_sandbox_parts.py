"""The sandbox's parts that need no process: limits, frames, filters and reports."""

from __future__ import annotations

import asyncio
import errno
import logging
import struct

import pytest

from services.kernel.sql.sandbox import Limits, seccomp, wire
from services.kernel.sql.sandbox.confinement import HELD, _try
from services.kernel.sql.sandbox.stock import WorkerStock

ALLOW, DENY = 0x7FFF_0000, 0x0005_0000 | errno.EPERM
KILL, NOT_THERE = 0x8000_0000, 0x0005_0000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
PROCESS = 4242


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the kernel would do: an interpreter for the four kinds of BPF instruction the filter uses."""
    program = seccomp.build(machine, PROCESS)
    data = struct.pack(
        "=iIQ6Q", number, AUDIT[machine] if audit is None else audit, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6]
    )
    accumulator, counter = 0, 0
    while True:
        code, when_true, when_false, value = struct.unpack_from("=HBBI", program, counter * 8)
        counter += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
            continue
        holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
        counter += when_true if holds else when_false


@pytest.mark.parametrize(
    ("machine", "number", "arguments", "expected"),
    [
        ("x86_64", 0, (), ALLOW),  # read
        ("x86_64", 41, (), DENY),  # socket
        ("x86_64", 59, (), DENY),  # execve
        ("x86_64", 57, (), DENY),  # fork
        ("x86_64", 56, (0x0001_0000,), ALLOW),  # clone of a thread
        ("x86_64", 56, (17,), DENY),  # clone of a process
        ("x86_64", 435, (), NOT_THERE),  # clone3
        ("x86_64", 257, (0, 0, 0), ALLOW),  # openat to read
        ("x86_64", 257, (0, 0, 1), DENY),  # to write
        ("x86_64", 2, (0, 0o100), DENY),  # open to create
        ("x86_64", 437, (), DENY),  # openat2
        ("x86_64", 234, (PROCESS,), ALLOW),  # tgkill of itself
        ("x86_64", 234, (1,), DENY),
        ("x86_64", 302, (0,), ALLOW),  # prlimit64 of itself
        ("x86_64", 302, (1,), DENY),
        ("x86_64", 0x4000_0000 | 41, (), DENY),  # the x32 table
        ("aarch64", 63, (), ALLOW),  # read
        ("aarch64", 198, (), DENY),  # socket
        ("aarch64", 221, (), DENY),  # execve
        ("aarch64", 56, (0, 0, 2), DENY),  # openat to read and write
        ("aarch64", 220, (0x0001_0000,), ALLOW),
        ("aarch64", 131, (1,), DENY),  # tgkill
    ],
)
def test_the_filter_decides_each_call(machine: str, number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict(machine, number, *arguments) == expected


def test_a_call_by_another_architecture_kills() -> None:
    assert verdict("x86_64", 0, audit=AUDIT["aarch64"]) == KILL


def test_a_machine_without_a_table_is_told_apart() -> None:
    with pytest.raises(KeyError):
        seccomp.build("riscv64", PROCESS)


def test_a_measure_the_kernel_refuses_is_reported_with_its_reason() -> None:
    def refuse() -> None:
        raise OSError(errno.ENOSYS, "no such thing here")

    report: dict[str, str] = {}
    _try(report, "held", lambda: None)
    _try(report, "refused", refuse)
    assert report["held"] == HELD
    assert "no such thing here" in report["refused"]


def test_a_degraded_sandbox_is_logged_and_a_whole_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        WorkerStock._report({"a": HELD})
        assert not caplog.records
        WorkerStock._report({"a": HELD, "closed_file_system": "OSError: no"})
    (record,) = caplog.records
    assert "closed_file_system" in record.getMessage()
    assert vars(record)["action"] == "sandbox_degraded"


@pytest.mark.parametrize("values", [{"wall_seconds": 0}, {"memory_bytes": -1}, {"result_rows": 0}])
def test_limits_are_positive(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(**values)  # type: ignore[arg-type]


def test_limits_survive_their_json_form() -> None:
    limits = Limits(wall_seconds=0.5, cpu_seconds=3, memory_bytes=1, result_rows=2, result_bytes=4)
    assert Limits.from_json(limits.to_json()) == limits


async def test_a_frame_announced_too_long_is_not_read() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(wire.encode("x" * 100))
    with pytest.raises(wire.FrameTooLong):
        await wire.read_frame(reader, 50)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5_000])
def test_a_body_that_is_not_sane_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the codec's own messages differ
        wire.decode(body)
