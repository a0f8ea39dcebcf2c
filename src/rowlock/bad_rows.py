"""Rows that could not be read: what becomes of them, their list, and when there are too many."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rowlock.errors import ConfigError, StateError, TooManyBadRowsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rowlock.errors import RowError

__all__ = ["BadRow", "BadRows", "OnError", "bad_rows_of", "check_policy"]

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

    def __str__(self) -> str:
        """Return who it is, where, and why."""
        who = f"row {self.row}" if self.key is None else f"key {self.key!r}"
        where = "" if self.path is None else f", {self.path}"
        return f"{who}{where}: {self.reason}"

    def as_line(self) -> str:
        """Return it as ``bad_rows_file=`` has it, in JSON without the end of the line."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def of(cls, error: RowError, epoch: int, step: int) -> BadRow:
        """Return the entry for an error that names its row."""
        path = None if error.path is None else os.fspath(error.path)
        row = -1 if error.row is None else int(error.row)
        return cls(row, error.key, error.input, path, str(error.stage), str(error.reason), epoch, step)


def bad_rows_of(listed: Any) -> list[BadRow]:
    """Return bad rows as `Loader.bad_rows` lists them, or as ``bad_rows_file=`` has written them.

    Raises
    ------
    ConfigError
        Neither a list of them nor such a file.
    """
    wrong = ConfigError(
        "this takes what loader.bad_rows lists, or the path of a bad_rows_file. Rows that are known by number or key"
        " are left out with data.where(~data.frame['key'].isin([...]))"
    )
    if isinstance(listed, str | os.PathLike):
        try:
            return [BadRow(**json.loads(line)) for line in Path(listed).read_text("utf-8").splitlines()]
        except (OSError, ValueError, TypeError) as error:
            raise wrong from error
    try:
        entries = list(listed)
    except TypeError:
        raise wrong from None
    if not all(isinstance(entry, BadRow) for entry in entries):
        raise wrong
    return entries


def check_policy(on_error: str, *, world_size: int) -> None:
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


class BadRows:
    """The list of bad rows of a run: each row once, in the order of delivery.

    Parameters
    ----------
    max_bad : float
        Most bad rows, as a share of the rows delivered so far (of the first thousand until then).
    num_rows : int
        Rows of the dataset.
    file : path, optional
        A JSON-lines file that gets every entry as it is met. A run that is not resumed begins it anew; a resumed
        run reads its own entries back from it.
    rank, world_size : int
        With several ranks, each has a list and a file of its own (``bad.rank1.jsonl``).

    Attributes
    ----------
    entries : list of BadRow

    Raises
    ------
    ConfigError
        `max_bad` is not a share, or there is no folder for the file.
    """

    def __init__(
        self,
        max_bad: float,
        num_rows: int,
        file: str | os.PathLike[str] | None = None,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if isinstance(max_bad, bool) or not isinstance(max_bad, (int, float)) or not 0 <= max_bad <= 1:
            raise ConfigError(f"max_bad is a share of the rows, 0 to 1, not {max_bad!r}")
        self.entries: list[BadRow] = []
        self._known: set[int] = set()
        self._max_bad = max_bad
        self._least_judged = min(num_rows, FIRST_ROWS)
        self._file = None if file is None else _own_file(file, rank, world_size)
        self._world_size = world_size
        self._digest = ""
        self._num_listed = 0
        self._num_bad = 0
        self._num_rows = 0
        self._is_begun = False

    def add(self, num_rows: int, bad: Iterable[BadRow]) -> None:
        """Take note of a batch that is delivered.

        Raises
        ------
        TooManyBadRowsError
        """
        met = list(bad)
        if not self._is_begun:
            self._begin()
        new = {entry.row: entry for entry in reversed(met) if entry.row not in self._known}
        self._list(list(reversed(new.values())))
        num_rows, num_bad = self._num_rows + num_rows, self._num_bad + len(met)
        if num_bad > self._max_bad * max(num_rows, self._least_judged):
            raise TooManyBadRowsError(
                f"{num_bad:,} of the first {num_rows:,} rows could not be read, more than max_bad={self._max_bad:g}"
                f" allows; the last: {self.entries[-1]}. loader.bad_rows lists them. Mend the files, leave the rows"
                " out with data.without(loader.bad_rows), or raise max_bad."
            )
        self._num_rows, self._num_bad = num_rows, num_bad

    def state(self) -> dict[str, Any]:
        """Return number and digest of the list; with several ranks nothing, since each has another."""
        if self._world_size > 1:
            return {"num_bad": 0, "bad_digest": ""}
        return {"num_bad": self._num_listed, "bad_digest": self._digest}

    def resumed(self, state: Mapping[str, Any]) -> BadRows:
        """Return the list that goes on from a state; entries come back from the file, where there is one.

        With several ranks each keeps what its own file has from before the state's step. Under another number of
        ranks the earlier files are set aside, as ``bad.before-step-120.jsonl``, and new ones begun.

        Raises
        ------
        StateError
            The state is not whole, or the file is not the one of that run.
        """
        loaded = copy.copy(self)
        loaded.load(state)
        return loaded

    def load(self, state: Mapping[str, Any]) -> None:
        """Become the list of a state; after an error it is of no use, so see `resumed`."""
        self.entries, self._known = [], set()
        self._num_bad = self._num_rows = 0
        try:
            self._num_listed, self._digest = int(state["num_bad"]), str(state["bad_digest"])
            step, world_size = int(state["step"]), int(state["world_size"])
        except (KeyError, TypeError, ValueError):
            raise StateError("the state has no whole list of bad rows: it is not a state of Rowlock") from None
        if self._file is None:  # which rows they were is not known: they are listed, and counted, as they are met again
            self._num_listed, self._digest = 0, ""
            return
        if world_size != self._world_size:
            _set_aside(self._file, step)
            self._num_listed, self._digest = 0, ""
        elif self._world_size > 1:
            self._take_over(self._file, [line for line in _lines(self._file) if _step_of(line) < step])
        else:
            lines = _lines(self._file)[: self._num_listed]
            self._check(self._file, lines)
            self._take_over(self._file, lines)

    def _check(self, file: Path, lines: list[str]) -> None:
        found = functools.reduce(_chained, lines, "")
        if len(lines) != self._num_listed or found != self._digest:
            raise StateError(
                f"{file} does not begin with the {self._num_listed} bad rows of the state ({len(lines)} lines, digest"
                f" {found or 'none'} instead of {self._digest or 'none'}): it belongs to another run"
            )

    def _begin(self) -> None:
        """Empty the file of an earlier run, before the first batch of this one counts."""
        self._is_begun = True
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _take_over(self, file: Path, lines: list[str]) -> None:
        """Go on from these lines of the file; later ones are met again."""
        if file.exists():
            beside = file.with_name(file.name + ".new")
            beside.write_text("".join(f"{line}\n" for line in lines), "utf-8")
            beside.replace(file)
        self.entries = [BadRow(**json.loads(line)) for line in lines]
        self._known = {entry.row for entry in self.entries}
        self._num_listed, self._digest = len(lines), functools.reduce(_chained, lines, "")
        self._is_begun = True

    def _list(self, entries: list[BadRow]) -> None:
        """Write down, then remember: what could not be written is met again."""
        lines = [entry.as_line() for entry in entries]
        if lines and self._file is not None:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.writelines(f"{line}\n" for line in lines)
        for line in lines:
            self._digest = _chained(self._digest, line)
        self._known.update(entry.row for entry in entries)
        self._num_listed += len(entries)
        self.entries += entries


def _chained(digest: str, line: str) -> str:
    return hashlib.blake2b(f"{digest}\n{line}".encode(), digest_size=8).hexdigest()


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.exists() else []


def _set_aside(file: Path, step: int) -> None:
    if file.exists():
        file.replace(file.with_name(f"{file.stem}.before-step-{step}{file.suffix}"))


def _step_of(line: str) -> float:
    """Return the step that a line of the file tells; a line that a killed process did not finish is of no step."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _own_file(file: str | os.PathLike[str], rank: int, world_size: int) -> Path:
    try:
        path = Path(file)
    except TypeError:
        raise ConfigError(f"bad_rows_file is a path, not {file!r}") from None
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {str(path.parent)!r} for bad_rows_file={str(path)!r}; make it first")
    return path if world_size == 1 else path.with_suffix(f".rank{rank}{path.suffix}")
