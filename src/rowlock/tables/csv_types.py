"""What type a column of a CSV file is, and its values as that: exactly what is written, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CSV_TYPES", "CsvType", "arrow_type", "check_types", "converted", "first_misfit", "type_of"]

CsvType: TypeAlias = Literal["text", "int", "float", "bool"]

CSV_TYPES: Final = ("text", "int", "float", "bool")
MISSING: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "<NA>")
"""What stands for a missing number. In text only an empty field is missing: "NA" may be a name."""

_WHOLE = r"^(0|-?[1-9][0-9]{0,18})$"  # as Python writes it, so that "007" is never 7
_NUMBER = r"^-?((0|[1-9][0-9]{0,14})?(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|inf|Inf)$"
_ASKED = r"^[+-]?([0-9]*(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|inf|Inf)$"
_DIGITS = r"^[+-]?[0-9]{1,19}$"
_GUESSED = {"int": _WHOLE, "float": _NUMBER, "bool": "^(true|True|TRUE|false|False|FALSE)$"}
_NAMED = _GUESSED | {"int": _DIGITS, "float": _ASKED}


def check_types(types: Mapping[str, str] | None) -> dict[str, CsvType]:
    """Return the types that a user names, or raise a `ConfigError`."""
    found: dict[str, Any] = dict(types or {})
    for name, kind in found.items():
        if kind not in CSV_TYPES:
            raise ConfigError(f"types={{{name!r}: {kind!r}}}: a column of a CSV file is one of {', '.join(CSV_TYPES)}")
    return found


def type_of(texts: Any) -> CsvType:
    """Return the narrowest type that holds all of some texts exactly; text where there is no value at all.

    Parameters
    ----------
    texts : pyarrow.StringArray
    """
    if _with_gaps(texts, MISSING).null_count == len(texts):
        return "text"
    for kind in ("int", "float", "bool"):
        if converted(texts, kind, named=False) is not None:
            return kind
    return "text"


def converted(texts: Any, kind: str, *, named: bool) -> Any:
    """Return texts as an Arrow array of a type, or None where one of them is not written as such.

    Parameters
    ----------
    texts : pyarrow.StringArray
    kind : CsvType
    named : bool
        Whether the user named the type: then "007" is a number as well.
    """
    import pyarrow as pa  # noqa: PLC0415 - loaded on use
    import pyarrow.compute as pc  # noqa: PLC0415 - loaded on use

    if kind == "text":
        return _with_gaps(texts, ("",))
    plain = _with_gaps(texts, MISSING)
    patterns = _NAMED if named else _GUESSED
    if not pc.all(pc.match_substring_regex(plain, patterns[kind]), min_count=0).as_py():
        return None
    try:
        if kind == "bool":
            plain = pc.utf8_lower(plain)
        return plain.cast(arrow_type(kind))
    except pa.ArrowInvalid:  # more than 64 bits, or no digit at all
        return None


def first_misfit(texts: Any, kind: str, *, named: bool) -> int:
    """Return the place of the first text that `converted` refuses; one of them is."""
    low, high = 0, len(texts)
    while high - low > 1:  # none before `low`, one before `high`
        middle = (low + high) // 2
        if converted(texts.slice(low, middle - low), kind, named=named) is None:
            high = middle
        else:
            low = middle
    return low


def _with_gaps(texts: Any, missing: tuple[str, ...]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use
    import pyarrow.compute as pc  # noqa: PLC0415 - loaded on use

    return pc.if_else(pc.is_in(texts, pa.array(missing)), pa.scalar(None, pa.string()), texts)


def arrow_type(kind: str) -> Any:
    """Return the Arrow type of a CSV type."""
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    return {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}[kind]
