"""The C library, for the few system calls Python does not wrap."""

from __future__ import annotations

import ctypes
import functools
import os


@functools.cache
def libc() -> ctypes.CDLL:
    """Loaded once, in the zygote: the classes that loading makes would cost every worker a thousand copied pages."""
    return ctypes.CDLL(None, use_errno=True)


def succeeded(result: int, call: str) -> int:
    """``result`` as it is; raises OSError with the C library's reason when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result
