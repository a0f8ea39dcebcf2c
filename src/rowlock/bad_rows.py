"""Rows that could not be read: what becomes of them, their list, and when there are too many."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rowlock.errors import ConfigError, StateError, TooManyBadRowsError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from rowlock.errors import RowError

__all__ = ["BadRow", "BadRows", "OnError", "check_policy"]

OnError = Literal["raise", "mask", "skip"]
FIRST_ROWS = 1000
"""The share of bad rows is judged over at least as many rows, so that one in the first batch ends no run."""


@dataclass(frozen=True)
class BadRow:
    """One row that was masked or skipped.

    Attributes
    ----------
    row : int
        Row of the table that the dataset was made from.
    key : int or str
    input : str
        Name of the input that could not be read.
    path : str or None
    stage, reason : str
    epoch, step : int
        Where it was met first.
    """

    row: int
    key: int | str | None
    input: str | None
    path: str | None
    stage: str
    reason: str
    epoch: int
    step: int

    @classmethod
    def of(cls, error: RowError, row: int, epoch: int, step: int) -> BadRow:
        """Return the entry for an error."""
        return cls(row, error.key, error.input, error.path, error.stage, error.reason, epoch, step)


def check_policy(on_error: str, max_bad: float, world_size: int) -> None:
    """Refuse a policy that does not exist or that would hang training.

    Raises
    ------
    ConfigError
    """
    if on_error not in get_args(OnError):
        raise ConfigError(f"on_error must be 'raise', 'mask' or 'skip', not {on_error!r}")
    if on_error == "skip" and world_size > 1:
        raise ConfigError(
            f"on_error='skip' would give the {world_size} ranks batches of different sizes, and hang training. Choose"
            " 'mask': the row stays, with weight 0."
        )
    if isinstance(max_bad, bool) or not isinstance(max_bad, (int, float)) or not 0 <= max_bad <= 1:
        raise ConfigError(f"max_bad is a share of the rows, 0 to 1, not {max_bad!r}")


class BadRows:
    """The list of bad rows of a run: each row once, in the order of delivery.

    Parameters
    ----------
    max_bad : float
        Most bad rows, as a share of the rows delivered so far (of the first thousand until then).
    num_rows : int
        Rows of the dataset.
    file : path, optional
        A JSON-lines file that gets every entry as it is met. A resumed run reads its own entries back from it.

    Attributes
    ----------
    entries : list of BadRow
    """

    def __init__(self, max_bad: float, num_rows: int, file: str | os.PathLike[str] | None = None) -> None:
        self.entries: list[BadRow] = []
        self._known: set[int] = set()
        self._max_bad = max_bad
        self._least_judged = min(num_rows, FIRST_ROWS)
        self._file = None if file is None else Path(file)
        self._digest = ""
        self._num_listed = 0
        self._num_bad = 0
        self._num_rows = 0

    def add(self, num_rows: int, bad: Iterable[BadRow]) -> None:
        """Take note of a batch that is delivered.

        Raises
        ------
        TooManyBadRowsError
        """
        self._num_rows += num_rows
        for entry in bad:
            self._num_bad += 1
            if entry.row not in self._known:
                self._list(entry)
        judged = max(self._num_rows, self._least_judged)
        if self._num_bad > self._max_bad * judged:
            raise TooManyBadRowsError(
                f"{self._num_bad:,} of the first {self._num_rows:,} rows could not be read, more than"
                f" max_bad={self._max_bad:g} allows; the last: {self.entries[-1] if self.entries else 'none'}."
                " loader.bad_rows lists them. Mend the files, leave the rows out with data.without(loader.bad_rows),"
                " or raise max_bad."
            )

    def state(self) -> dict[str, Any]:
        """Return number and digest of the list."""
        return {"num_bad": self._num_listed, "bad_digest": self._digest}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; entries come back from the file, where there is one.

        Raises
        ------
        StateError
            The file is not the one of that run.
        """
        self.entries, self._known = [], set()
        self._num_bad = self._num_rows = 0
        self._num_listed, self._digest = int(state["num_bad"]), str(state["bad_digest"])
        if self._file is not None:
            self._read_back(self._file, self._num_listed, self._digest)

    def _read_back(self, file: Path, num_listed: int, digest: str) -> None:
        lines = file.read_text("utf-8").splitlines()[:num_listed] if file.exists() else []
        found = ""
        for line in lines:
            found = _chained(found, line)
        if len(lines) != num_listed or found != digest:
            raise StateError(
                f"{file} does not begin with the {num_listed} bad rows of the state ({len(lines)} lines, digest"
                f" {found or 'none'} instead of {digest or 'none'}): it belongs to another run"
            )
        file.write_text("".join(f"{line}\n" for line in lines), "utf-8")  # later ones are met again
        self.entries = [BadRow(**json.loads(line)) for line in lines]
        self._known = {entry.row for entry in self.entries}

    def _list(self, entry: BadRow) -> None:
        line = json.dumps(asdict(entry), ensure_ascii=True)
        self._known.add(entry.row)
        self.entries.append(entry)
        self._num_listed += 1
        self._digest = _chained(self._digest, line)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")


def _chained(digest: str, line: str) -> str:
    return hashlib.blake2b(f"{digest}\n{line}".encode(), digest_size=8).hexdigest()
