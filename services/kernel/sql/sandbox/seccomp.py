"""A system-call filter for workers: no sockets, no new processes, no programs, no change to any file.

A classic BPF program installed with prctl(PR_SET_SECCOMP), which needs no privilege once no_new_privs is set; see
seccomp(2).
A denied call fails with EPERM; a call through another architecture's table kills the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from services.kernel.sql.sandbox.libc import libc, succeeded

_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_RET_KILL_PROCESS: Final = 0x8000_0000
_RET_ERRNO: Final = 0x0005_0000
_RET_ALLOW: Final = 0x7FFF_0000

# linux/bpf_common.h
_LOAD_WORD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

# struct seccomp_data { int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]; }
_OFFSET_NUMBER: Final = 0
_OFFSET_ARCHITECTURE: Final = 4
_OFFSET_ARGUMENTS: Final = 16

# Its flags are behind a pointer, which a filter cannot follow: said not to exist, libc falls back on clone.
_CLONE3: Final = 435
_CLONE_THREAD: Final = 0x0001_0000
_WRITING_FLAGS: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_X32_BIT: Final = 0x4000_0000

# Numbers from the kernel's tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
# Call 435 and above are the same everywhere: clone3 435, openat2 437, io_uring_setup 425 and so on.
_COMMON: Final = (
    424,  # pidfd_send_signal
    425, 426, 427,  # io_uring: would run denied calls out of this filter's sight
    428, 429, 430, 431, 432, 433,  # open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
    434,  # pidfd_open
    437,  # openat2: its flags are behind a pointer that a filter cannot read
    438,  # pidfd_getfd
    442,  # mount_setattr
    452,  # fchmodat2
)  # fmt: skip
_X86_64: Final = (
    41, 42, 43, 49, 50, 53, 288,  # socket, connect, accept, bind, listen, socketpair, accept4
    57, 58, 59, 322,  # fork, vfork, execve, execveat
    62, 200, 129, 297, 101, 310, 311, 312,  # kill, tkill, rt_(tg)sigqueueinfo, ptrace, process_vm_*, kcmp
    76, 77, 85, 82, 264, 316, 83, 258, 84, 87, 263, 86, 265, 88, 266,  # truncate, ftruncate, creat, rename*, mkdir*...
    90, 91, 268, 92, 93, 94, 260, 133, 259, 132, 235, 261, 280,  # chmod*, chown*, mknod*, utime*
    155, 161, 165, 166, 167, 168, 169, 170, 171, 172, 173, 175, 176, 313,  # mounts, swap, reboot, names, modules
    188, 189, 190, 197, 198, 199,  # extended attributes
    246, 320, 248, 249, 250, 272, 308, 298, 321, 323, 304, 206, 279,  # kexec, keys, namespaces, perf, bpf, userfaultfd
    29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 240, 241, 242, 243, 244, 245,  # System V and POSIX shared memory, queues
)  # fmt: skip
_AARCH64: Final = (
    198, 199, 200, 201, 202, 203, 242,  # socket, socketpair, bind, listen, accept, connect, accept4
    221, 281,  # execve, execveat
    129, 130, 138, 240, 117, 270, 271, 272,  # kill, tkill, rt_(tg)sigqueueinfo, ptrace, process_vm_*, kcmp
    45, 46, 38, 276, 34, 35, 36, 37, 33, 52, 53, 54, 55, 88,  # truncate, rename*, mkdir, unlink, links, modes, owners
    39, 40, 41, 51, 224, 225, 142, 161, 162, 105, 106, 273,  # mounts, chroot, swap, reboot, names, modules
    5, 6, 7, 14, 15, 16,  # extended attributes
    104, 294, 217, 218, 219, 97, 268, 241, 280, 282, 265, 2, 239,  # kexec, keys, namespaces, perf, bpf, userfaultfd
    180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197,  # queues, shared memory
)  # fmt: skip


class _Machine:
    """``opening``: call -> index of its flags. ``tgkill``, ``prlimit``: calls whose first argument is a process."""

    def __init__(
        self, audit: int, denied: tuple[int, ...], *, opening: dict[int, int], clone: int, tgkill: int, prlimit: int
    ) -> None:
        self.audit = audit
        self.denied = (*denied, *_COMMON)
        self.opening = opening
        self.clone = clone
        self.tgkill = tgkill
        self.prlimit = prlimit


_MACHINES: Final = {
    "x86_64": _Machine(0xC000_003E, _X86_64, opening={2: 1, 257: 2}, clone=56, tgkill=234, prlimit=302),
    "aarch64": _Machine(0xC000_00B7, _AARCH64, opening={56: 2}, clone=220, tgkill=131, prlimit=261),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def build(machine_name: str, process_id: int) -> bytes:
    """The filter for ``machine_name`` as BPF instructions. Raises KeyError for a machine it has no table for.

    Opening a file is allowed for reading only; clone makes threads only; thread signals (abort sends one) and limits
    concern the process alone.
    """
    machine = _MACHINES[machine_name]
    deny = _instruction(_RETURN, _RET_ERRNO | errno.EPERM)
    program = [
        _instruction(_LOAD_WORD, _OFFSET_ARCHITECTURE),
        _instruction(_JUMP_EQUAL, machine.audit, when_true=1),
        _instruction(_RETURN, _RET_KILL_PROCESS),
        _instruction(_LOAD_WORD, _OFFSET_NUMBER),
    ]
    if machine_name == "x86_64":
        program += [_instruction(_JUMP_GREATER_EQUAL, _X32_BIT, when_false=1), deny]
    for number in machine.denied:
        program += [_instruction(_JUMP_EQUAL, number, when_false=1), deny]
    allow = _instruction(_RETURN, _RET_ALLOW)
    for number, argument in machine.opening.items():
        program += [
            _instruction(_JUMP_EQUAL, number, when_false=4),
            _instruction(_LOAD_WORD, _OFFSET_ARGUMENTS + 8 * argument),
            _instruction(_JUMP_ANY_BIT, _WRITING_FLAGS, when_false=1),
            deny,
            allow,
        ]
    program += [
        _instruction(_JUMP_EQUAL, _CLONE3, when_false=1),
        _instruction(_RETURN, _RET_ERRNO | errno.ENOSYS),
        _instruction(_JUMP_EQUAL, machine.clone, when_false=4),
        _instruction(_LOAD_WORD, _OFFSET_ARGUMENTS),
        _instruction(_JUMP_ANY_BIT, _CLONE_THREAD, when_true=1),
        deny,
        allow,
    ]
    for number, own in ((machine.tgkill, process_id), (machine.prlimit, 0)):
        program += [
            _instruction(_JUMP_EQUAL, number, when_false=4),
            _instruction(_LOAD_WORD, _OFFSET_ARGUMENTS),
            _instruction(_JUMP_EQUAL, own, when_true=1),
            deny,
            allow,
        ]
    return b"".join([*program, allow])


def _instruction(code: int, value: int, *, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)


def install() -> None:
    """Filters this thread's system calls for good. Raises OSError when the kernel refuses, KeyError as ``build``."""
    program = build(os.uname().machine, os.getpid())
    header = _Program(len(program) // 8, program)
    succeeded(libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0), "prctl(PR_SET_SECCOMP)")
