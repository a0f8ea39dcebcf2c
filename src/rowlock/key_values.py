"""Values that users have for keys, of any library, as whole numbers or text; or what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.arrays import one_arrow_array
from rowlock.errors import KeyTypeError
from rowlock.text_array import TextArray

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["keys_in"]


def keys_in(values: Any, what: str) -> Int64Array | TextArray:
    """Return the keys in `values`, or raise `KeyTypeError`: see `rowlock.keys.Keys.of`."""
    if isinstance(values, str | bytes | dict | set | frozenset) or values is None:
        raise KeyTypeError(f"{what} must be an array, a list or a Series of keys, not {type(values).__name__}")
    if hasattr(values, "to_series") and not hasattr(values, "to_arrow"):
        values = values.to_series()  # a pandas Index
    if type(values).__module__.split(".")[0] == "pyarrow":
        return _of_arrow(values, what)
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return _of_series(series, what)
    return _of_array(values if isinstance(values, np.ndarray) else _listed(values, what), what)


def _listed(values: Any, what: str) -> AnyArray:
    """Return any other sequence as an array of its objects."""
    if isinstance(values, range):
        return np.arange(values.start, values.stop, values.step)
    try:
        listed = list(values)
    except TypeError as error:
        raise KeyTypeError(f"{what} must be an array, a list or a Series of keys: {error}") from error
    out = np.empty(len(listed), object)
    for i, value in enumerate(listed):
        out[i] = value
    return out


def _of_series(series: nw.Series[Any], what: str) -> Int64Array | TextArray:
    if series.dtype in (nw.Object, nw.Unknown):
        return _of_array(np.asarray(series.to_numpy(), object), what)
    is_arrow = nw.get_native_namespace(series).__name__ == "pyarrow"
    if series.dtype.is_integer() and not series.null_count() and not is_arrow:
        return _of_integers(series.to_numpy(), what)
    return _of_arrow(one_arrow_array(series), what)


def _of_array(values: AnyArray, what: str) -> Int64Array | TextArray:
    if values.ndim != 1:
        raise KeyTypeError(f"{what} must have one axis, but has shape {values.shape}")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise _refused(what, "missing values", np.flatnonzero(np.ma.getmaskarray(values)), values)
    if values.dtype.kind in "iu":
        return _of_integers(np.asarray(values), what)
    if values.dtype.kind in "UTO":
        return _of_objects(values.astype(object), what)
    raise _refused(what, f"{values.dtype} values", np.arange(len(values)), values)


def _of_integers(values: AnyArray, what: str) -> Int64Array:
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        large = np.flatnonzero(values > np.uint64(np.iinfo(np.int64).max))
        if len(large):
            raise _refused(what, "numbers beyond 2**63 - 1", large, values)
    return np.array(values, np.int64)


def _of_objects(values: AnyArray, what: str) -> Int64Array | TextArray:
    kinds = {_kind_of(kind): kind for kind in set(map(type, values.tolist()))}
    if not kinds or set(kinds) == {"int"}:
        return _of_python_integers(values, what)
    if set(kinds) == {"text"}:
        import pyarrow as pa  # noqa: PLC0415 - loaded on first use

        try:
            return _of_arrow(pa.array(values, pa.large_string(), from_pandas=False), what)
        except UnicodeEncodeError as error:
            raise KeyTypeError(f"{what} has text that is not valid Unicode: {error}") from error
    named = np.array([_kind_of(type(value)) for value in values.tolist()], object)
    wrong = named != "text" if "text" in kinds else named != "int"
    label = "numbers mixed with text" if set(kinds) == {"int", "text"} else "values that are no keys"
    raise _refused(what, label, np.flatnonzero(wrong), values)


def _kind_of(kind: type) -> str:
    if issubclass(kind, bool | np.bool_):
        return "bool"
    if issubclass(kind, int | np.integer):
        return "int"
    return "text" if issubclass(kind, str) else kind.__name__


def _of_python_integers(values: AnyArray, what: str) -> Int64Array:
    try:
        numbers: Int64Array = values.astype(np.int64)
    except OverflowError as error:
        limits = np.iinfo(np.int64)
        wrong = [i for i, value in enumerate(values.tolist()) if not limits.min <= value <= limits.max]
        raise _refused(what, "numbers beyond 64 bits with sign", np.array(wrong), values) from error
    return numbers


def _of_arrow(values: Any, what: str) -> Int64Array | TextArray:
    import pyarrow as pa  # noqa: PLC0415 - loaded on first use

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    if not isinstance(values, pa.Array):
        raise KeyTypeError(f"{what} must be an array or a Series of keys, not {type(values).__name__}")
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count:
        nulls = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
        raise _refused(what, "missing values", nulls, values)
    if pa.types.is_int64(values.type):
        numbers: Int64Array = values.to_numpy()  # which nobody changes
        return numbers
    if pa.types.is_integer(values.type):
        return _of_integers(values.to_numpy(zero_copy_only=False), what)
    if _is_text(pa, values.type):
        return _of_large_string(values.cast(pa.large_string()))
    raise _refused(what, f"{values.type} values", np.arange(len(values)), values)


def _is_text(pa: Any, kind: Any) -> bool:
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in checks)


def _of_large_string(values: Any) -> TextArray:
    """Take over the buffers of an Arrow array of text without nulls."""
    _, offsets, data = values.buffers()
    edges = np.zeros(1, np.int64)
    if len(values):
        edges = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return TextArray(np.frombuffer(data if data is not None and data.size else b"", np.uint8), edges)


def _refused(what: str, label: str, rows: AnyArray, values: Any) -> KeyTypeError:
    """Return the error that shows the first values that cannot be keys, and what to do about it."""
    shown = ", ".join(f"{_plain(values[int(row)])!r} (position {int(row)})" for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return KeyTypeError(
        f"{what} has {label}: {shown}{more}. Keys are whole numbers or text, none missing."
        " Convert the column first; pandas turns whole numbers with gaps into fractions (use dtype 'Int64')."
    )


def _plain(value: Any) -> Any:
    """Return a scalar of NumPy or Arrow as the Python value that people recognise."""
    for method in ("as_py", "item"):
        if hasattr(value, method):
            return getattr(value, method)()
    return value
