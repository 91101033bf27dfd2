"""The C library's memory: kept for the next array, or given back to the machine."""

import ctypes
import sys

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8


def keep_freed_memory() -> None:
    """Makes the C library keep freed memory for the next array, for a process that needs the same again and again.

    glibc maps every array of megabytes anew and gives it back when it is freed; each page then costs a fault and is
    zeroed. An input pipeline spends more time on that than on reading and parsing. Call it before there are threads.
    On other systems it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        # Any further arena would give back what is freed, in spite of the threshold.
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Makes the C library give freed memory back to the machine, for a server after a large request.

    Each of glibc's arenas, one a thread, keeps what was freed in it. On other systems it does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)
