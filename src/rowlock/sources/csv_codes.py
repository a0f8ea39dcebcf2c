"""Codes in a CSV file that look like numbers: ``007``, ``+5``, twenty digits. They are text, and no features.

The file is looked through beside its reader, a little ahead of it, by one loop over its bytes. Only a column in which
that loop sees something is read as text, to find out what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rowlock.errors import ConfigError
from rowlock.sources.base import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

__all__ = ["CodeWatch", "is_whole_number"]

_CODE: Final = r"^[ \t]*(\+|-?0[0-9]|-?[0-9]{16})"
_WHOLE: Final = r"^[ \t]*-?[1-9][0-9]{15,18}[ \t]*$"


class CodeWatch:
    """Looks through a CSV file for columns with codes.

    Parameters
    ----------
    path : Path
    names : sequence of str
        All columns of the file.
    read_texts : callable
        Gives record batches of some columns as they are written.
    """

    def __init__(self, path: Path, names: Sequence[str], read_texts: Callable[[list[str]], Iterator[Any]]) -> None:
        from rowlock.sources.csv_kernels import STATE_SIZE

        self._path = path
        self._names = names
        self._read_texts = read_texts
        self._state = np.zeros(STATE_SIZE, np.int64)
        self._marked = np.zeros(len(names), np.bool_)
        self._judged: set[str] = set()
        self._stream: Any = None

    @property
    def marked(self) -> set[str]:
        """Columns that may hold codes, as far as the file was looked through."""
        return {self._names[place] for place in np.flatnonzero(self._marked).tolist()}

    def look(self, num_bytes: int | None = None) -> None:
        """Look through the next bytes, or all that are left."""
        from rowlock.sources.csv_kernels import mark_codes

        with reading(str(self._path)):
            import pyarrow as pa

            if self._stream is None:
                self._stream = pa.input_stream(str(self._path), compression="detect")
            while True:
                data = self._stream.read(num_bytes or (4 << 20))
                mark_codes(np.frombuffer(data, np.uint8), self._state, self._marked)
                if num_bytes is not None or not data:
                    return

    def require_numbers(self, features: Collection[str]) -> None:
        """Refuse features in which codes were seen.

        Raises
        ------
        ConfigError
            With the first of them, and what to do.
        """
        doubtful = [name for name in features if name in self.marked and name not in self._judged]
        if doubtful:
            self._judged.update(doubtful)
            first_row = 0
            for batch in self._read_texts(doubtful):
                for name in doubtful:
                    place = _first_code(batch.column(name))
                    if place is not None:
                        raise self._refusal(name, batch.column(name)[place].as_py(), first_row + place)
                first_row += batch.num_rows

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            self._stream.close()

    def _refusal(self, name: str, value: str, row: int) -> ConfigError:
        return ConfigError(
            f"{self._path}: column {name!r} has {value!r} in row {row:,} (near line {row + 2:,}): a leading zero, a"
            " plus or more digits than a number holds make it text, and features are numbers. Leave the column out:"
            f" columns= (--columns) names those wanted. If it identifies the rows, it is the key: key={name!r} (--key"
            f" {name}). If it is a number after all, write it without that, or in a Parquet file."
        )


def _first_code(texts: Any) -> int | None:
    """Return the place of the first text that is a code, or None."""
    import pyarrow.compute as pc

    looks = pc.match_substring_regex(texts, _CODE)
    if not pc.any(looks, min_count=0).as_py():
        return None
    sure = pc.and_(looks, pc.invert(pc.match_substring_regex(texts, _WHOLE)))
    found = int(pc.index(sure, True).as_py())
    whole = np.flatnonzero(pc.and_not(looks, sure).to_numpy(zero_copy_only=False))
    large = next((int(i) for i in whole if not is_whole_number(texts[int(i)].as_py().strip())), -1)
    places = [place for place in (found, large) if place >= 0]
    return min(places) if places else None


def is_whole_number(text: str) -> bool:
    """Whether a text is a number of 64 bits exactly as Python writes it."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20) or (digits[0] == "0" and text != "0"):
        return False
    return -(2**63) <= int(text) < 2**63
