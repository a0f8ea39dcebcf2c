"""What is in memory already: frames and arrays, and iterators of them; and a feature store."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import narwhals as nw

from rowlock.errors import ConfigError
from rowlock.keys import Keys
from rowlock.sources.arrow import dense, unnamed_index
from rowlock.sources.base import RowSource, block_rows
from rowlock.sources.choice import Choice
from rowlock.store.given.blocks import Source, columns_as

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from rowlock.arrays import AnyArray
    from rowlock.store import FeatureStore

__all__ = ["FrameRows", "MatrixRows", "StoreRows", "as_frame"]


def as_frame(source: Any) -> nw.DataFrame[Any] | None:
    """Return a pandas, polars or Arrow frame as narwhals sees it, or None."""
    if type(source).__module__.startswith("pyarrow") and type(source).__name__ == "RecordBatch":
        import pyarrow as pa

        source = pa.Table.from_batches([source])
    frame = nw.from_native(source, eager_only=True, pass_through=True)
    return frame if isinstance(frame, nw.DataFrame) else None


class FrameRows(RowSource):
    """A frame, or an iterator of frames with the same columns, which is read once."""

    def __init__(self, source: Any, *, key: str | None, columns: Sequence[str | int] | None) -> None:
        frame = as_frame(source)
        self.address = f"the {type(source).__name__}" if frame is not None else "the iterator of frames"
        stream = iter([source]) if frame is not None else iter(source)
        first = next(stream, None)
        head = None if first is None else _with_index(as_frame(first), key)
        if head is None:
            raise ConfigError(f"{self.address} gives no frame, but {type(first).__name__}")
        self._key, self._columns = key, columns
        self._choice: Choice = self._choose(head)
        self._frames = itertools.chain([first], stream)
        self.num_rows = len(head) if frame is not None else None
        self.num_columns = len(self._choice.features)
        self.columns, self.dtype, self.key_name = self._choice.features, self._choice.dtype, key
        self.others, self.unnamed_index = self._choice.others, self._choice.unnamed_index

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        for number, native in enumerate(self._frames):
            frame = _with_index(as_frame(native), self._key)
            if frame is None or self._choose(frame).features != self.columns:
                raise ConfigError(f"block {number} of {self.address} has other columns than the first")
            step = block_rows(self.row_bytes)
            for start in range(0, len(frame), step):
                part = frame[start : start + step]
                keys = None if self._key is None else Keys.of(part[self._key], f"column {self._key!r}")
                yield keys, self._numbers(part.select(*self._choice.features))

    def _numbers(self, part: nw.DataFrame[Any]) -> AnyArray:
        """Return a frame as an array; whole numbers and booleans with gaps become floats with NaN."""
        exact = columns_as(part, self.dtype)
        if exact is not None:
            return exact
        values: AnyArray = part.to_numpy()
        return values if values.dtype.kind in "biuf" else dense(part.to_arrow(), self._choice.features, self.dtype)

    def _choose(self, frame: nw.DataFrame[Any]) -> Choice:
        dtypes: dict[str, np.dtype[Any] | None] = dict.fromkeys(frame.columns)
        for name, kind in frame.schema.items():
            if kind.is_numeric() or kind == nw.Boolean:
                dtypes[name] = frame[:1].select(name).to_numpy().dtype
        return Choice.of(
            self.address, dtypes, self._key, self._columns, unnamed_index(getattr(frame.to_native(), "schema", None))
        )


def _with_index(frame: nw.DataFrame[Any] | None, key: str | None) -> nw.DataFrame[Any] | None:
    """Return a frame with its index as a column, where that is what the key is called."""
    names = getattr(nw.maybe_get_index(frame), "names", ()) if frame is not None else ()
    if frame is None or key is None or key in frame.columns or key not in names:
        return frame
    native: Any = frame.to_native()
    return as_frame(native.reset_index(level=key))


class MatrixRows(RowSource):
    """Anything else that a store can be written from: an array, a sparse matrix, blocks, pairs (keys, block)."""

    def __init__(self, source: Any) -> None:
        self.address = f"the {type(source).__name__}"
        self._source = Source.of(source)
        self.num_rows, self.num_columns = self._source.num_rows, self._source.num_columns
        self.dtype, self.columns = self._source.dtype, self._source.columns

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        yield from self._source.blocks


class StoreRows(RowSource):
    """A feature store, to be written again with other columns, another dtype or another layout."""

    def __init__(self, store: FeatureStore, *, owned: bool = False) -> None:
        self._owned = owned
        self.address = str(store.path)
        self._store = store
        self.num_rows, self.num_columns = store.shape
        self.dtype, self.key_name = store.dtype, store.key_name
        self.columns = None if store.columns is None else tuple(store.columns)

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        keys, step = self._store.keys, block_rows(self.row_bytes)
        for start in range(0, self._store.num_rows, step):
            part = slice(start, min(start + step, self._store.num_rows))
            yield None if keys is None else keys.take(part), self._store[part]

    def close(self) -> None:
        """Close the store, if it was opened for this."""
        if self._owned:
            self._store.close()
