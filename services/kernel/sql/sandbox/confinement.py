"""What a process gives up before it touches hostile SQL, and a report of what the kernel let it give up.

Every measure works without privilege. One that the kernel or the container refuses is reported with its reason, never
passed over: the pool logs it, and the measures that remain still stand on their own.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.kernel.sql.sandbox import landlock, seccomp
from services.kernel.sql.sandbox.libc import libc, succeeded
from services.kernel.sql.sandbox.limits import Limits

# Measure -> "held", or why it is not.
Report = dict[str, str]
HELD: Final = "held"

# prctl(2)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_M_ARENA_MAX: Final = -8  # malloc.h
_CAPABILITY_VERSION_3: Final = 0x2008_0522

_OPEN_FILES: Final = 32
# Past the wall clock the pool kills; should the pool itself be stuck, the kernel's own timer does it this much later.
_TIMER_GRACE_SECONDS: Final = 0.5


def confine_zygote(code_root: Path) -> Report:
    """Once, in the process that workers are forked from: they inherit all of it."""
    report: Report = {}
    _try(report, "no_new_privileges", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1))
    _try(report, "no_capabilities", _drop_capabilities)
    _try(report, "one_heap", _keep_one_heap)
    _try(report, "closed_file_system", lambda: landlock.restrict_to(_readable(code_root)))
    return report


def confine_worker(parent: int, keep: int) -> Report:
    """In a fresh fork of process ``parent``: dies with it, keeps no descriptor but ``keep``, can make no process."""
    report: Report = {}
    _try(report, "dies_with_parent", lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(0)  # the parent went before the request to die with it was in place
    _try(report, "not_traceable", lambda: _prctl(_PR_SET_DUMPABLE, 0))
    _try(report, "no_descriptors", lambda: _close_all_but(keep))
    _limit(report, "no_core_files", resource.RLIMIT_CORE, 0)
    _limit(report, "no_file_writes", resource.RLIMIT_FSIZE, 0)
    _limit(report, "few_open_files", resource.RLIMIT_NOFILE, _OPEN_FILES)
    # Not RLIMIT_NPROC: it counts a user's processes wherever they run, and forbids threads, which a judge may use. The
    # filter forbids new processes exactly.
    _try(report, "filtered_system_calls", seccomp.install)
    return report


def apply_limits(limits: Limits, base_address_space: int) -> None:
    """The task's own limits, set by the worker on itself for good. Raises OSError: without them no task may run.

    ``base_address_space``: bytes the worker mapped at its fork.
    """
    for signal_number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(signal_number, signal.SIG_DFL)
    used = int(sum(os.times()[:2])) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + limits.cpu_seconds - 1, used + limits.cpu_seconds))
    address_space = base_address_space + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + _TIMER_GRACE_SECONDS)


def _try(report: Report, name: str, measure: Callable[[], object]) -> None:
    try:
        measure()
    except (OSError, KeyError, AttributeError) as error:
        report[name] = f"{type(error).__name__}: {error}"
    else:
        report[name] = HELD


def _limit(report: Report, name: str, which: int, value: int) -> None:
    _try(report, name, lambda: resource.setrlimit(which, (value, value)))


def _prctl(option: int, value: int) -> None:
    succeeded(libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl({option})")


def _drop_capabilities() -> None:
    """Matters in a container whose user is root: without capabilities, limits bind root too."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    succeeded(libc().capset(header, none), "capset")


def _keep_one_heap() -> None:
    """Else the C library reserves 64 MiB of address space for each thread, which the memory limit would count."""
    if libc().mallopt(_M_ARENA_MAX, 1) != 1:
        raise OSError("mallopt(M_ARENA_MAX) was refused")


def _close_all_but(keep: int) -> None:
    """Standard input is the null device already; output and errors join it."""
    os.dup2(0, 1)
    os.dup2(0, 2)
    os.closerange(3, keep)
    os.closerange(keep + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _readable(code_root: Path) -> list[str]:
    """Code and shared libraries, time zones, the random device, and what an engine asks of the kernel as it starts.

    DuckDB ends the process when it may not read its control group. Opening /proc shows no other process's environment
    or memory: Landlock refuses those for any process outside the restriction, and workers are not traceable.
    """
    return [
        sys.base_prefix,
        sys.prefix,
        sysconfig.get_path("stdlib"),
        str(code_root / "services"),
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/share/zoneinfo",
        "/etc/localtime",
        "/dev/urandom",
        "/proc",
        "/sys/fs/cgroup",
        "/sys/devices/system/cpu",
    ]
