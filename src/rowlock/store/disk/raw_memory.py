"""Loads and copies at a raw address, for compiled loops over mapped files; nothing here checks bounds.

A map of many files has many base addresses, rows start at any byte, and Numba's arrays know neither. These
few instructions do: unaligned little-endian words, a copy, and a hint to fetch a line early.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped] # comes with Numba, untyped
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["call_at_offset", "call_decoder", "copy_bytes", "load_byte", "load_item", "load_word", "prefetch"]

_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)


@intrinsic
def load_word(_context: Any, _base: Any, _index: Any) -> Any:
    """Return the little-endian uint64 at ``base + 8 * index``, which need not be aligned."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        base = builder.inttoptr(arguments[0], _WORD.as_pointer())
        return builder.load(builder.gep(base, [arguments[1]]), align=1)

    return types.uint64(types.uint64, types.int64), generate


@intrinsic
def load_byte(_context: Any, _base: Any, _index: Any) -> Any:
    """Return the byte at ``base + index`` as uint64."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        base = builder.inttoptr(arguments[0], _BYTE.as_pointer())
        return builder.zext(builder.load(builder.gep(base, [arguments[1]]), align=1), _WORD)

    return types.uint64(types.uint64, types.int64), generate


@intrinsic
def load_item(_context: Any, _base: Any, _index: Any, kind: Any) -> Any:
    """Return item `index` of an unaligned array at `base`, of the dtype of the array `kind`, which is not read."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        base = builder.inttoptr(arguments[0], context.get_data_type(kind.dtype).as_pointer())
        return builder.load(builder.gep(base, [arguments[1]]), align=1)

    return kind.dtype(types.uint64, types.int64, kind), generate


@intrinsic
def copy_bytes(_context: Any, _target: Any, _source: Any, _num_bytes: Any) -> Any:
    """Copy `num_bytes` from address `source` to address `target`, which do not overlap."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        target, source = (builder.inttoptr(a, _BYTE.as_pointer()) for a in arguments[:2])
        cgutils.raw_memcpy(builder, target, source, arguments[2], 1, align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.int64), generate


@intrinsic
def call_decoder(
    _context: Any, _function: Any, _source: Any, _target: Any, _source_bytes: Any, _target_bytes: Any
) -> Any:
    """Call the C function ``int function(source, target, int source_bytes, int target_bytes)`` at an address."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        number, pointer = ir.IntType(32), _BYTE.as_pointer()
        kind = ir.FunctionType(number, [pointer, pointer, number, number])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        source, target = (builder.inttoptr(address, pointer) for address in arguments[1:3])
        sizes = [builder.trunc(size, number) for size in arguments[3:]]
        return builder.sext(builder.call(function, [source, target, *sizes]), _WORD)

    return types.int64(types.uint64, types.uint64, types.uint64, types.int64, types.int64), generate


@intrinsic
def call_at_offset(_context: Any, _function: Any, _descriptor: Any, _first: Any, _second: Any, _third: Any) -> Any:
    """Call the C function ``long function(int descriptor, long, long, long)`` at an address: pread, posix_fadvise.

    On machines of 64 bits pointers, sizes and offsets are all passed like that; a result that is an int is to be
    cut to 32 bits by the caller.
    """

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_WORD, [ir.IntType(32), _WORD, _WORD, _WORD])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        descriptor = builder.trunc(arguments[1], ir.IntType(32))
        return builder.call(function, [descriptor, *arguments[2:]])

    return types.int64(types.uint64, types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def prefetch(_context: Any, _address: Any) -> Any:
    """Ask the processor for the cache line at `address`; never faults, whatever the address."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        number = ir.IntType(32)
        pointer = _BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.inttoptr(arguments[0], pointer)
        builder.call(function, [address, number(0), number(3), number(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(types.uint64), generate
