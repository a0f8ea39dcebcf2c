"""A column of categories (breeds, cities, makes) as an input: a one among zeros, or a number for an embedding."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import numpy as np
from typing_extensions import override

from rowlock.arguments import nearest, true_or_false, whole_number
from rowlock.arrays import ArraySpec, one_arrow_array
from rowlock.blocks import for_blocks
from rowlock.errors import ConfigError
from rowlock.inputs.base import Draw, Input, Reader, check_rows
from rowlock.inputs.image_arguments import check_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.table import Table

__all__ = ["Categories", "CategoryReader", "as_text", "is_text", "refuse_missing"]

_BLOCK_ROWS: Final = 1 << 20
_SHOWN: Final = 3
_MOST: Final = 256


class Categories(Input):
    """A column of categories, delivered as float32 zeros with a one, shape ``(number of categories,)`` a row.

    Alone, or in the list of `Columns`, beside numbers: ``rl.Columns(["age", rl.Categories("breed")])``.

    Parameters
    ----------
    column : str
        Name of the column: text, categories, whole numbers or booleans.
    categories : sequence, optional
        The categories in the order of their places. By default the different values of the first frame that this object
        is used with, sorted; so the same object reads a second frame alike, whatever that holds.
    one_hot : bool
        False: one int32 a row, for an embedding: 1 for the first category, 2 for the second, ...; 0 for none of them.
        ``keras.layers.Embedding(len(categories) + 1, ...)`` takes it.
    missing : {"raise", "zeros"}
        What a row without a value gives: an error when the dataset is made; or zeros alone, which no category has.
    unknown : {"raise", "zeros"}
        The same for a value that is none of the categories, in another frame.
    max_categories : int
        Most different values that are taken for categories unasked: beyond, the column is probably an id or free text.

    Attributes
    ----------
    categories : tuple or None
        What each place means; None until a dataset was made with it.

    Raises
    ------
    ConfigError
        A wrong argument; and when the dataset is made: no such column, values that are no categories, missing,
        unknown, or too many.
    """

    def __init__(
        self,
        column: str,
        categories: Sequence[Any] | None = None,
        *,
        one_hot: bool = True,
        missing: str = "raise",
        unknown: str = "raise",
        max_categories: int = _MOST,
    ) -> None:
        if not isinstance(column, str):
            raise ConfigError(f"Categories takes the name of one column: rl.Categories('breed'), not {column!r}")
        self.column = column
        self.categories: tuple[Any, ...] | None = None if categories is None else _listed(categories)
        self.one_hot = true_or_false("one_hot", one_hot)
        check_choice("missing", missing, ("raise", "zeros"))
        check_choice("unknown", unknown, ("raise", "zeros"))
        self.missing, self.unknown = missing, unknown
        self.max_categories = whole_number("max_categories", max_categories, 1)

    def __repr__(self) -> str:
        given = {
            "one_hot": (self.one_hot, True),
            "missing": (self.missing, "raise"),
            "unknown": (self.unknown, "raise"),
            "max_categories": (self.max_categories, _MOST),
        }
        more = "".join(f", {name}={value!r}" for name, (value, usual) in given.items() if value != usual)
        return f"Categories({self.column!r}{more})"

    @override
    def open(self, table: Table, name: str) -> CategoryReader:
        series = table.column(self.column)
        missing = np.flatnonzero(series.is_null().to_numpy()) if series.null_count() else np.empty(0, np.int64)
        if len(missing) and self.missing == "raise":
            refuse_missing(missing, self.column, name, "Or let them be none of the categories: missing='zeros'.")
        if len(missing) == len(series):
            return CategoryReader(np.zeros(len(series), np.uint8), self._known(name, series), one_hot=self.one_hot)
        kind = _kind(series, name, self.column)
        categories = self._learnt(series, name) if self.categories is None else self.categories
        codes = self._codes(series, _values(categories, kind, name, self.column), categories, name)
        return CategoryReader(codes, categories, one_hot=self.one_hot)

    def opened_as(self, reader: Reader) -> None:
        """Keep the categories, so that a second frame is read alike."""
        if isinstance(reader, CategoryReader):
            self.categories = reader.categories

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        known = getattr(reader, "categories", self.categories)
        return {"column": self.column, "categories": known, "one_hot": self.one_hot}

    def _known(self, name: str, series: nw.Series[Any]) -> tuple[Any, ...]:
        if self.categories is None:
            raise ConfigError(f"{name!r}: column {self.column!r} has no value in all {len(series):,} rows")
        return self.categories

    def _learnt(self, series: nw.Series[Any], name: str) -> tuple[Any, ...]:
        count = series.n_unique() - bool(series.null_count())
        if count > self.max_categories:
            first = ", ".join(repr(value) for value in as_text(series.drop_nulls()[:_SHOWN]).to_list())
            raise ConfigError(
                f"{name!r}: column {self.column!r} has {count:,} different values in {len(series):,} rows ({first},"
                f" ...), more than max_categories={self.max_categories}: an id or free text tells nothing that holds"
                " for other rows. Leave it out, or join rare values to one; or name the categories, or a larger"
                " max_categories."
            )
        return tuple(sorted(as_text(series.drop_nulls().unique()).to_list()))

    def _codes(self, series: nw.Series[Any], values: Any, categories: tuple[Any, ...], name: str) -> AnyArray:
        import pyarrow.compute as pc  # noqa: PLC0415 - loaded on first use

        codes = np.zeros(len(series), _code_type(len(categories)))
        unknown: list[tuple[int, Any]] = []

        def number(start: int, stop: int) -> None:
            block = one_arrow_array(as_text(series[start:stop])).cast(values.type)
            places = pc.index_in(block, values)
            codes[start:stop] = np.asarray(pc.add(places.fill_null(-1), 1))
            lost = block.filter(pc.and_(pc.is_null(places), pc.is_valid(block)))
            if len(lost):
                unknown.append((start, lost))

        for_blocks(number, len(series), _BLOCK_ROWS)
        if unknown and self.unknown == "raise":
            lost = [block for _, block in sorted(unknown, key=lambda pair: pair[0])]
            _refuse_unknown(lost, categories, name, self.column)
        return codes


class CategoryReader(Reader):
    """Places of categories, kept as one small number a row: 0 for none of them.

    Parameters
    ----------
    codes : unsigned integers, shape (rows of the table,)
    categories : tuple
    one_hot : bool
    """

    def __init__(self, codes: AnyArray, categories: tuple[Any, ...], *, one_hot: bool) -> None:
        self._codes = codes
        self.categories = categories
        self._one_hot = one_hot
        self.num_things = None if one_hot else len(categories) + 1
        shape = (len(categories),) if one_hot else ()
        self.spec = ArraySpec(shape, np.dtype(np.float32 if one_hot else np.int32))

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        check_rows(rows, len(self._codes))
        codes = self._codes[rows]
        if not self._one_hot:
            out[...] = codes
            return
        out[...] = 0
        places = np.flatnonzero(codes)
        out[places, codes[places].astype(np.int64) - 1] = 1

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the codes, of what they mean and of how they are delivered."""
        names = hashlib.blake2b(repr((self.categories, self._one_hot)).encode(), digest_size=4).hexdigest()
        return f"{hashlib.blake2b(np.ascontiguousarray(self._codes).data, digest_size=8).hexdigest()}:{names}"


def is_text(series: nw.Series[Any]) -> bool:
    """Return whether a column holds text, or categories with names."""
    if series.dtype in (nw.String, nw.Categorical, nw.Enum):
        return True
    return series.dtype == nw.Object and all(isinstance(value, str) for value in series if value is not None)


def as_text(series: nw.Series[Any]) -> nw.Series[Any]:
    """Return categories as their names."""
    return series.cast(nw.String) if series.dtype in (nw.Categorical, nw.Enum) else series


def refuse_missing(rows: Int64Array, column: str, name: str, advice: str = "") -> None:
    """Raise a `ConfigError` that lists the rows without a value, if there are any."""
    if len(rows):
        raise ConfigError(
            f"{name!r}: column {column!r} has {len(rows)} missing value(s), the first in row(s)"
            f" {', '.join(map(str, rows[:5]))}. Fill them in, or leave these rows out of the frame. {advice}".rstrip()
        )


def _listed(categories: Any) -> tuple[Any, ...]:
    if isinstance(categories, str) or not hasattr(categories, "__iter__"):
        raise ConfigError(f"categories is a list, such as ['Abyssinian', 'Bengal'], not {categories!r}")
    found = tuple(categories)
    if not found or len(set(found)) < len(found) or None in found:
        raise ConfigError(f"categories are one or more different values, not {list(found)!r}")
    return found


def _kind(series: nw.Series[Any], name: str, column: str) -> str:
    if is_text(series):
        return "text"
    if series.dtype == nw.Boolean:
        return "booleans"
    if series.dtype.is_integer():
        return "whole numbers"
    raise ConfigError(
        f"{name!r}: categories are text, whole numbers or booleans; column {column!r} is {series.dtype}"
        " (numbers: rl.Columns)"
    )


def _values(categories: tuple[Any, ...], kind: str, name: str, column: str) -> Any:
    """Return the categories as an Arrow array of the column's kind."""
    import pyarrow as pa  # noqa: PLC0415 - loaded on first use

    types = {"text": pa.large_string(), "booleans": pa.bool_(), "whole numbers": pa.int64()}
    try:
        return pa.array(categories, types[kind])
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError):
        raise ConfigError(
            f"{name!r}: column {column!r} holds {kind}, but the categories are such as {categories[0]!r}"
        ) from None


def _code_type(num_categories: int) -> type[np.unsignedinteger[Any]]:
    fitting = (kind for kind in (np.uint8, np.uint16, np.uint32) if num_categories <= np.iinfo(kind).max)
    return next(fitting)


def _refuse_unknown(blocks: Sequence[Any], categories: tuple[Any, ...], name: str, column: str) -> None:
    import pyarrow as pa  # noqa: PLC0415 - loaded on first use
    import pyarrow.compute as pc  # noqa: PLC0415 - loaded on first use

    counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(pa.chunked_array(blocks)).to_pylist()}
    shown = ", ".join(f"{value!r} ({count:,} row(s))" for value, count in list(counts.items())[:_SHOWN])
    more = f" and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else ""
    known = ", ".join(map(repr, categories[:8])) + (", ..." if len(categories) > 8 else "")
    raise ConfigError(
        f"{name!r}: column {column!r} holds {shown}{more}, none of its categories {known}."
        f"{nearest(str(next(iter(counts))), map(str, categories))} Mend the values, or let them be none of the"
        " categories: unknown='zeros'."
    )
