"""One Arrow array of any length that grows in files: its buffers are appended to, and mapped at the end."""

from __future__ import annotations

import mmap
import tempfile
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, BoolArray

__all__ = ["Spool", "spool_type"]

_VARIABLE = (pa.types.is_large_string, pa.types.is_large_binary)
_SMALL_TEXT = (pa.types.is_string, pa.types.is_string_view)
_SMALL_BINARY = (pa.types.is_binary, pa.types.is_binary_view)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def spool_type(kind: Any) -> Any:
    """Return the type in which values of an Arrow type are kept, or None where no input could read them.

    The same values; only offsets become 64 bits wide, so that one array takes any number of rows.
    """
    if _is(kind, _SMALL_TEXT):
        return pa.large_string()
    if _is(kind, _SMALL_BINARY):
        return pa.large_binary()
    if pa.types.is_dictionary(kind):
        values = spool_type(kind.value_type)
        return None if values is None or pa.types.is_dictionary(values) else pa.dictionary(pa.int32(), values)
    if _is(kind, _LISTS):
        values = spool_type(kind.value_type)
        return None if values is None or pa.types.is_dictionary(values) else pa.large_list(values)
    is_plain = pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind)
    return kind if is_plain or pa.types.is_null(kind) or _is(kind, _VARIABLE) else None


class Spool:
    """Takes the arrays of a column one after the other; what they hold is in files without a name.

    Parameters
    ----------
    kind : pyarrow.DataType
        One that `spool_type` returns.
    folder : Path
        Where there is room.
    """

    def __init__(self, kind: Any, folder: Path) -> None:
        self._kind = kind
        self._length = 0
        self._num_null = 0
        self._valid = _Bits(folder)
        self._bits = _Bits(folder) if pa.types.is_boolean(kind) else None
        self._values = _Bytes(folder)
        self._offsets = _Bytes(folder)
        self._end = 0
        self._items = Spool(kind.value_type, folder) if pa.types.is_large_list(kind) else None
        self._dictionary: Any = None
        if pa.types.is_dictionary(kind):
            self._items = Spool(pa.int32(), folder)
            self._dictionary = pa.array([], kind.value_type)
        elif self._items is not None or _is(kind, _VARIABLE):
            self._offsets.add(np.zeros(1, np.int64))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the files; arrays that were made keep what they map."""
        for file in (self._valid, self._bits, self._values, self._offsets):
            if file is not None:
                file.close()
        if self._items is not None:
            self._items.__exit__()

    def add(self, array: Any) -> None:
        """Append an array of the same values, of any type that `spool_type` maps to this one."""
        if self._dictionary is not None:
            self._add_codes(array)
            return
        if array.type != self._kind:
            array = array.cast(self._kind)
        self._add_validity(array)
        if self._bits is not None:
            self._bits.add(np.asarray(array.fill_null(False)))
        elif self._items is not None:
            first, stop = self._add_offsets(array)
            self._items.add(array.values.slice(first, stop - first))
        elif _is(self._kind, _VARIABLE):
            first, stop = self._add_offsets(array)
            self._values.add(_bytes_of(array.buffers()[2])[first:stop])
        elif not pa.types.is_null(self._kind):
            width = self._kind.bit_width // 8
            start = array.offset * width
            self._values.add(_bytes_of(array.buffers()[1])[start : start + len(array) * width])
        self._length += len(array)

    def array(self) -> Any:
        """Return everything that was added as one array, mapped."""
        if self._dictionary is not None:
            return pa.DictionaryArray.from_arrays(self._items.array(), self._dictionary)  # type: ignore[union-attr] # made with it
        if pa.types.is_null(self._kind):
            return pa.nulls(self._length)
        valid = self._valid.buffer() if self._num_null else None
        if self._bits is not None:
            buffers, children = [valid, self._bits.buffer()], None
        elif self._items is not None:
            buffers, children = [valid, self._offsets.buffer()], [self._items.array()]
        elif _is(self._kind, _VARIABLE):
            buffers, children = [valid, self._offsets.buffer(), self._values.buffer()], None
        else:
            buffers, children = [valid, self._values.buffer()], None
        return pa.Array.from_buffers(self._kind, self._length, buffers, self._num_null, children=children)

    def _add_validity(self, array: Any) -> None:
        """Bits are kept from the first gap on: most columns have none."""
        if array.null_count and not self._num_null:
            for start in range(0, self._length, 1 << 20):
                self._valid.add(np.ones(min(1 << 20, self._length - start), np.bool_))
        self._num_null += array.null_count
        if self._num_null:
            self._valid.add(np.asarray(array.is_valid()))

    def _add_offsets(self, array: Any) -> tuple[int, int]:
        """Append the ends of variable values, and return which bytes or items they take."""
        edges = np.zeros(1, np.int64)
        if len(array):
            stored = np.frombuffer(array.buffers()[1], np.int64)
            edges = stored[array.offset : array.offset + len(array) + 1]
        self._offsets.add(edges[1:] - edges[0] + self._end)
        self._end += int(edges[-1] - edges[0])
        return int(edges[0]), int(edges[-1])

    def _add_codes(self, array: Any) -> None:
        """Append the codes of a block, in the numbers of the one dictionary of all blocks."""
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        values = array.dictionary.cast(self._kind.value_type)
        new = values.filter(pc.invert(pc.is_in(values, self._dictionary))).unique()
        if len(new):
            self._dictionary = pa.concat_arrays([self._dictionary, new])
        places = pc.index_in(values, self._dictionary)
        self._items.add(places.take(array.indices))  # type: ignore[union-attr] # made with the dictionary
        self._length += len(array)


class _Bytes:
    """A file without a name: it is gone when nobody has it open or mapped, however the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Any = None

    def add(self, values: AnyArray) -> None:
        if values.size:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=1 << 20)  # noqa: SIM115 - closed with its owner
            self._file.write(np.ascontiguousarray(values).data.cast("B"))

    def buffer(self) -> Any:
        if self._file is None:
            return pa.py_buffer(b"")
        self._file.flush()
        return pa.py_buffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Bits(_Bytes):
    """The same of single bits, least significant first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rest = np.empty(0, np.bool_)  # fewer than eight

    def add(self, values: BoolArray) -> None:
        values = np.concatenate([self._rest, values])
        whole = len(values) // 8 * 8
        self._rest = values[whole:]
        super().add(np.packbits(values[:whole], bitorder="little"))

    def buffer(self) -> Any:
        super().add(np.packbits(self._rest, bitorder="little"))
        return super().buffer()


def _bytes_of(buffer: Any) -> AnyArray:
    return np.empty(0, np.uint8) if buffer is None or not buffer.size else np.frombuffer(buffer, np.uint8)


def _is(kind: Any, checks: Any) -> bool:
    return any(check(kind) for check in checks)
