# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202 - kernels are typed by their signatures
"""Many files in one call, without the interpreter's lock; imported on first use, because importing Numba takes time.

Each call of the system from Python lets go of that lock and takes it again, and a thread that has to wait for it
sleeps: tens of microseconds, several times a picture. Functions of the C library are called at their addresses here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped] # comes with Numba, untyped
from numba import types
from numba.extending import intrinsic

from rowlock.store.disk.raw_memory import call_at_offset

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["FAILED", "NOT_YET", "read_files", "stat_at", "stat_files"]

FAILED, NOT_YET = -1, -2
"""In place of a number of bytes: not read, for whatever reason; no room was left."""

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_BYTES_OUT = types.Array(types.uint8, 1, "C")
_NUMBERS_OUT = types.Array(types.int64, 1, "C")
_FACTS_OUT = types.Array(types.int64, 2, "C")

_HERE, _EMPTY_PATH = -100, 0x1000
"""AT_FDCWD and AT_EMPTY_PATH of Linux."""
_BASIC_STATS = 0x7FF
_STATX_BYTES = 256
_TYPE_BITS, _REGULAR = 0o170000, 0o100000
_SECOND_NS = 1_000_000_000


@intrinsic
def _call_open(_context: Any, _function: Any, _path: Any, _flags: Any) -> Any:
    """Call ``int open(const char *path, int flags, ...)`` at an address."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(number, [pointer, number], var_arg=True)
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        path, flags = builder.inttoptr(arguments[1], pointer), builder.trunc(arguments[2], number)
        return builder.sext(builder.call(function, [path, flags]), ir.IntType(64))

    return types.int64(types.uint64, types.uint64, types.int64), generate


@intrinsic
def _call_statx(_context: Any, _function: Any, _folder: Any, _path: Any, _flags: Any, _facts: Any) -> Any:
    """Call ``int statx(int folder, const char *path, int flags, unsigned mask, struct statx *facts)``."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(number, [number, pointer, number, number, pointer])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        folder, flags = (builder.trunc(arguments[place], number) for place in (1, 3))
        path, facts = (builder.inttoptr(arguments[place], pointer) for place in (2, 4))
        called = builder.call(function, [folder, path, flags, number(_BASIC_STATS), facts])
        return builder.sext(called, ir.IntType(64))

    return types.int64(types.uint64, types.int64, types.uint64, types.int64, types.uint64), generate


@numba.njit(types.int64(_BYTES, types.int64), nogil=True, cache=True)
def _next_name(names, at):
    """Return where the name behind the one at `at` begins."""
    while names[at] != 0:
        at += 1
    return at + 1


@numba.njit(types.int64(types.uint64, types.int64, _BYTES_OUT, types.int64, types.int64), nogil=True, cache=True)
def _read_whole(read, descriptor, buffer, start, num_bytes):
    """Read until there are `num_bytes`; `FAILED` if there are fewer."""
    done = np.int64(0)
    while done < num_bytes:
        where = np.int64(buffer.ctypes.data) + start + done
        found = call_at_offset(read, descriptor, where, num_bytes - done, np.int64(0))
        if found <= 0:
            return np.int64(FAILED)
        done += found
    return num_bytes


@numba.njit(
    types.void(
        types.UniTuple(types.uint64, 4), _BYTES, types.int64, types.int64, types.int64, _BYTES_OUT, _NUMBERS_OUT,
        _NUMBERS_OUT,
    ),
    nogil=True, cache=True,
)  # fmt: skip
def read_files(
    functions: tuple[int, int, int, int],
    names: AnyArray,
    first: int,
    flags: int,
    max_bytes: int,
    buffer: AnyArray,
    starts: Int64Array,
    sizes: Int64Array,
) -> None:
    r"""Read regular files one behind the other into `buffer`, as many as it has room for.

    Parameters
    ----------
    functions : uint64
        Addresses of ``open``, ``statx``, ``read`` and ``close``.
    names : uint8, shape (n,)
        Paths, each with a NUL behind it.
    first : int
        Number of the path to begin with.
    flags : int
        Of ``open``.
    max_bytes : int
        Larger files fail.
    buffer : uint8, shape (m,)
    starts, sizes : int64, shape (number of paths,)
        Set from `first` on: where each file's bytes begin, and how many there are, or `FAILED`, or `NOT_YET`. A file
        that is larger than `buffer` has failed too.
    """
    open_, statx, read, close = functions
    facts = np.empty(_STATX_BYTES, np.uint8)
    mode, size = facts[28:30].view(np.uint16), facts[40:48].view(np.uint64)
    empty = np.zeros(1, np.uint8)
    at, used, is_full = np.int64(0), np.int64(0), False
    for i in range(sizes.size):
        name = np.uint64(names.ctypes.data + at)
        at = _next_name(names, at)
        if i < first:
            continue
        sizes[i] = NOT_YET if is_full else FAILED
        descriptor = np.int64(-1) if is_full else _call_open(open_, name, flags)
        if descriptor < 0:
            continue
        told = _call_statx(statx, descriptor, np.uint64(empty.ctypes.data), _EMPTY_PATH, np.uint64(facts.ctypes.data))
        num_bytes = np.int64(size[0])
        if told == 0 and mode[0] & _TYPE_BITS == _REGULAR and 0 <= num_bytes <= min(max_bytes, buffer.size):
            if used + num_bytes > buffer.size:
                sizes[i], is_full = NOT_YET, True
            else:
                starts[i], sizes[i] = used, _read_whole(read, descriptor, buffer, used, num_bytes)
                used += num_bytes
        call_at_offset(close, descriptor, np.int64(0), np.int64(0), np.int64(0))


@numba.njit(types.boolean(types.uint64, types.uint64, _NUMBERS_OUT), nogil=True, cache=True)
def stat_at(statx, path, found):
    """Write size, mtime and ctime (ns) of the file whose path is at an address; False: the system does not tell."""
    facts = np.empty(_STATX_BYTES, np.uint8)
    words, halves = facts.view(np.int64), facts.view(np.uint32)
    if _call_statx(statx, _HERE, path, np.int64(0), np.uint64(facts.ctypes.data)) != 0:
        return False
    found[0] = words[5]
    found[1] = words[14] * _SECOND_NS + np.int64(halves[30])
    found[2] = words[12] * _SECOND_NS + np.int64(halves[26])
    return True


@numba.njit(types.void(types.uint64, _BYTES, _FACTS_OUT), nogil=True, cache=True)
def stat_files(statx: int, names: AnyArray, found: Int64Array) -> None:
    """Write size, mtime and ctime (ns) of the files at `names` into rows of `found`; size `FAILED`: not told.

    Parameters are as of `read_files`; links are followed.
    """
    at = np.int64(0)
    for i in range(len(found)):
        name = np.uint64(names.ctypes.data + at)
        at = _next_name(names, at)
        if not stat_at(statx, name, found[i]):
            found[i, 0] = FAILED
