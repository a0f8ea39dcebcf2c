"""Every error that Rowlock raises on purpose.

::

    RowlockError
    ├── ConfigError (ValueError)                 a wrong argument; nothing was read or written
    │   ├── AlignmentError                       inputs cannot be put on one row axis
    │   │   ├── MissingKeysError                 keys of the frame that a store does not have
    │   │   ├── RepeatedKeysError                keys that occur twice where they must be unique
    │   │   └── KeyTypeError                     keys of different or unusable types
    │   └── RunExistsError (FileExistsError)     a folder holds another training, or something else
    ├── RowError                                 one row could not be delivered
    │   └── DecodeError                          its bytes are not a valid picture
    ├── TooManyBadRowsError                      more rows were masked or skipped than max_bad allows
    ├── StoreError
    │   ├── StoreNotFoundError (FileNotFoundError)
    │   ├── StoreExistsError (FileExistsError)   never written over without being asked
    │   ├── StoreFormatError                     not a store, or a format that this version does not read
    │   ├── StoreCorruptError                    stored bytes are not those that were written
    │   ├── StoreLockedError                     another process is writing
    │   ├── StoreClosedError                     `close` was called
    │   ├── StoreReadError (OSError)             the disk or network mount refused to read, again and again
    │   └── StoreWriteError                      the disk refused; the last commit is safe
    ├── SourceError                              a file of another format is damaged, or cannot be read
    │   └── SourceNotFoundError (FileNotFoundError)
    ├── StateError (ValueError)                  a saved state belongs to other data or another order
    ├── TrainingError                            the loss became infinite or NaN
    ├── IncompleteEpochError                     delivered + dropped is not what was planned
    ├── LoaderClosedError (RuntimeError)
    │   └── ForkedLoaderError                    used in a child process that was forked from its owner
    └── MissingDependencyError (ImportError)     names the extra to install
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "AlignmentError",
    "ConfigError",
    "DecodeError",
    "ForkedLoaderError",
    "IncompleteEpochError",
    "KeyTypeError",
    "LoaderClosedError",
    "MissingDependencyError",
    "MissingKeysError",
    "RepeatedKeysError",
    "RowError",
    "RowlockError",
    "RunExistsError",
    "SourceError",
    "SourceNotFoundError",
    "StateError",
    "StoreClosedError",
    "StoreCorruptError",
    "StoreError",
    "StoreExistsError",
    "StoreFormatError",
    "StoreLockedError",
    "StoreNotFoundError",
    "StoreReadError",
    "StoreWriteError",
    "TooManyBadRowsError",
    "TrainingError",
]


class RowlockError(Exception):
    """Anything that Rowlock raises on purpose."""


class ConfigError(RowlockError, ValueError):
    """A wrong argument, found before anything was read or written."""


class AlignmentError(ConfigError):
    """Inputs cannot be put on one row axis."""


class MissingKeysError(AlignmentError):
    """Keys of the frame that a store does not have."""


class RepeatedKeysError(AlignmentError):
    """Keys that occur more than once where they must be unique."""


class KeyTypeError(AlignmentError):
    """Keys of different types ("007" against 7), or of a type that cannot be a key."""


class RowError(RowlockError):
    """One row could not be delivered.

    The layer that finds the fault knows the reason, the path and the stage; the layers above add
    the input's name, the key and the step. What is not known yet is ``None``.

    Attributes
    ----------
    reason : str
        What went wrong, without the context below.
    stage : str
        ``"read"``, ``"decode"``, ``"gather"``, ``"transform"``.
    row : int or None
        Row of the table that the dataset was made from.
    key : int, str or None
        The row's identity.
    path : str or None
        The file or store that was being read.
    input : str or None
        Name of the input.
    step : int or None
        Number of the batch within the run.
    """

    def __init__(
        self,
        reason: str,
        *,
        stage: str = "gather",
        row: int | None = None,
        key: int | str | None = None,
        path: str | None = None,
        input: str | None = None,  # noqa: A002 - the project's word for one named source
        step: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stage = stage
        self.row = row
        self.key = key
        self.path = path
        self.input = input
        self.step = step

    def add_context(
        self,
        *,
        key: int | str | None = None,
        input: str | None = None,  # noqa: A002 - the project's word for one named source
        step: int | None = None,
    ) -> None:
        """Add what an upper layer knows; what is known already stays."""
        self.key = key if self.key is None else self.key
        self.input = input if self.input is None else self.input
        self.step = step if self.step is None else self.step

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.__dict__.copy())

    def __str__(self) -> str:
        where = [
            f"{name} {value!r}"
            for name, value in (
                ("input", self.input),
                ("key", self.key),
                ("row", self.row),
                ("step", self.step),
                ("path", self.path),
            )
            if value is not None
        ]
        place = f" ({', '.join(where)})" if where else ""
        return f"cannot {self.stage} a row{place}: {self.reason}"


def _rebuild(kind: type[RowError], reason: str, state: dict[str, object]) -> RowError:
    error = kind(reason)
    error.__dict__.update(state)
    return error


class DecodeError(RowError):
    """The bytes were read, but they are not a valid picture."""


class RunExistsError(ConfigError, FileExistsError):
    """The folder of a run holds another run, or something else."""


class TrainingError(RowlockError):
    """The loss became infinite or NaN."""


class TooManyBadRowsError(RowlockError):
    """More rows were masked or skipped than ``max_bad`` allows."""


class StoreError(RowlockError):
    """Something is wrong with a feature store."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no store at this address."""


class StoreExistsError(StoreError, FileExistsError):
    """There is something at this address already, and ``overwrite=True`` was not given."""


class StoreFormatError(StoreError):
    """Not a feature store, or of a format that this version does not read."""


class StoreCorruptError(StoreError):
    """Stored bytes are not those that were written.

    Attributes
    ----------
    rows : tuple of int
        Store rows that are known to be damaged; may be empty where the damage is not in a row.
    """

    def __init__(self, message: str, *, rows: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.rows: Sequence[int] = tuple(rows)


class StoreLockedError(StoreError):
    """Another process is writing to the store."""


class StoreClosedError(StoreError):
    """The store was closed; its rows are as they were."""


class StoreReadError(StoreError, OSError):
    """The disk or the network mount refused to read, also when it was asked again; the store itself may be whole.

    Attributes
    ----------
    rows : tuple of int
        The row of the store that was asked for.
    row : int or None
        Row of the table that a dataset was made from, where there is one.
    """

    num_retries = 3  # it was repeated where it happened: `rowlock.retries` does not do so again

    def __init__(self, message: str, *, rows: Iterable[int] = (), number: int | None = None) -> None:
        super().__init__(message)
        self.rows: Sequence[int] = tuple(rows)
        self.row: int | None = None
        self.errno = number

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), str(self), rows=self.rows, number=self.errno), (), {"row": self.row}


class StoreWriteError(StoreError):
    """The disk refused a write; the last commit is safe."""


class SourceError(RowlockError):
    """A file, folder or frame of another format is damaged, cut off, or not what its name says."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """There is nothing at this address."""


class StateError(RowlockError, ValueError):
    """A saved state belongs to other data or to another order."""


class IncompleteEpochError(RowlockError):
    """An epoch ended with rows that were neither delivered nor dropped."""


class LoaderClosedError(RowlockError, RuntimeError):
    """The loader or its engine was closed."""


class ForkedLoaderError(LoaderClosedError):
    """A loader is used in a child process that was forked from the one that made it."""


class MissingDependencyError(RowlockError, ImportError):
    """An optional package is needed; the message names the extra to install."""
