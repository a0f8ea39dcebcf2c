"""What a store says of itself: the facts of the commit that it pinned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from rowlock.keys import KeyKind
    from rowlock.store.commit.format import Commit

__all__ = ["CommitFacts"]


class CommitFacts(ABC):
    """Properties that follow from a commit alone."""

    @property
    @abstractmethod
    def _commit(self) -> Commit:
        """The commit that was pinned."""

    @property
    def num_rows(self) -> int:
        """Committed rows."""
        return self._commit.num_rows

    @property
    def num_columns(self) -> int:
        """Columns of the matrix."""
        return self._commit.num_columns

    @property
    def shape(self) -> tuple[int, int]:
        """(num_rows, num_columns)."""
        return self._commit.num_rows, self._commit.num_columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the matrix."""
        return self._commit.row_dtype

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns, or None."""
        return None if self._commit.columns is None else list(self._commit.columns)

    @property
    def key_kind(self) -> KeyKind | None:
        """``"int"``, ``"text"`` or None."""
        return self._commit.key_kind

    @property
    def key_name(self) -> str | None:
        """What the keys are called: the name of the column that they came from."""
        return self._commit.key_name

    @property
    def uuid(self) -> str:
        """Identity of the store; appending keeps it, writing anew does not."""
        return str(self._commit.uuid)

    @property
    def layout(self) -> str:
        """How the rows lie on disk: ``"raw"``, ``"csr"``, ``"packed"``; ``"auto"`` as long as there are no rows."""
        return self._commit.layout

    @property
    def layout_reason(self) -> str:
        """Why that layout was chosen; empty where the writer named it."""
        return self._commit.layout_reason

    @property
    def fingerprint(self) -> str:
        """``uuid:rows:digest`` of the checks of all rows, hence of their bytes and keys; see `extends`."""
        return f"{self._commit.uuid}:{self._commit.num_rows}:{self._commit.rows_digest}"

    @property
    def keys_identity(self) -> str:
        """``uuid:rows:digest`` of the keys alone: what is the same, as long as each key has the row that it has."""
        return f"{self._commit.uuid}:{self._commit.num_rows}:{self._commit.keys_digest}"

    @property
    def _description(self) -> str:
        commit = self._commit
        keys = f"{commit.key_kind} keys {commit.key_name or ''}".rstrip() if commit.key_kind else "no keys"
        layout = f"{commit.layout} ({commit.layout_reason})" if commit.layout_reason else commit.layout
        return (
            f"{commit.num_rows:,} rows x {commit.num_columns:,} columns, {commit.dtype}, {keys},"
            f" {commit.num_rows * commit.row_bytes:,} bytes, {layout}"
        )
