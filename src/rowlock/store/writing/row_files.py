"""The arrays with one entry a row beside the matrix: checks and keys, extended behind what was committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.store.commit.format import chunk_name
from rowlock.store.commit.row_check import RowFactors
from rowlock.store.disk.files import GrowingFile
from rowlock.store.index.committed import map_keys

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, UInt64Array
    from rowlock.keys import Keys
    from rowlock.store.commit.format import Commit

__all__ = ["RowFiles"]

_WORD = 1 << 64


class RowFiles:
    """Writes checks and keys of new rows, and sums up their digests.

    Parameters
    ----------
    path : Path
        The store.
    commit : Commit
        What is there.
    """

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path = path
        self._key_kind = commit.key_kind
        self._row_bytes = commit.row_bytes
        self._factors = RowFactors.of(commit.uuid, commit.row_bytes)
        self._num_rows = commit.num_rows
        self._rows_digest = int(commit.rows_digest, 16)
        self._keys_digest = int(commit.keys_digest, 16)
        self._files: dict[str, GrowingFile] = {}
        try:
            for name, (shape, _, dtype) in commit.arrays.items():
                num_bytes = shape[0] * np.dtype(dtype).itemsize
                self._files[name] = GrowingFile(path / name / chunk_name(0), num_bytes)
        except BaseException:
            self.close()
            raise

    def append(self, block: AnyArray, keys: Keys | None, hashes: UInt64Array) -> None:
        """Add the checks and the keys of rows.

        Parameters
        ----------
        block : shape (n, num_columns)
            The rows as they are stored; C-contiguous.
        keys : Keys or None
            n of them.
        hashes : uint64, shape (n,)
            What the checks are bound to.
        """
        from rowlock.key_kernels import digest_words  # noqa: PLC0415 - Numba is loaded on first use
        from rowlock.store.commit.row_kernels import check_block  # noqa: PLC0415 - Numba is loaded on first use

        checks = np.empty(len(block), np.uint64)
        factors = self._factors
        check_block(np.uint64(block.ctypes.data), self._row_bytes, factors.factors, factors.salt, hashes, checks)
        self._files["row_check"].append(checks.astype("<u8", copy=False))
        first = np.uint64(self._num_rows)
        self._rows_digest = (self._rows_digest + int(digest_words(checks, first))) % _WORD
        if keys is not None:
            self._keys_digest = (self._keys_digest + int(digest_words(hashes, first))) % _WORD
            self._append_keys(keys)
        self._num_rows += len(block)

    def sync(self) -> None:
        """Make everything durable."""
        for file in self._files.values():
            file.sync()

    def facts(self) -> dict[str, Any]:
        """Return what the commit says about these arrays."""
        return {
            "rows_digest": f"{self._rows_digest:016x}",
            "keys_digest": f"{self._keys_digest:016x}",
            "key_bytes": self._num_key_bytes,
        }

    def stored_keys(self) -> Keys:
        """Return the keys of all rows so far, committed or not."""
        return map_keys(self._path, self._key_kind or "int", self._num_rows, self._num_key_bytes)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            file.close()

    @property
    def _num_key_bytes(self) -> int:
        return self._files["key_bytes"].num_bytes if "key_bytes" in self._files else 0

    def _append_keys(self, keys: Keys) -> None:
        if keys.kind == "int":
            self._files["keys"].append(np.ascontiguousarray(keys.numbers, "<i8"))
        else:
            data, edges = keys.text.data, keys.text.offsets
            shift = self._num_key_bytes - edges[0]
            self._files["key_bytes"].append(data[edges[0] : edges[-1]])
            self._files["key_offsets"].append((edges[1:] + shift).astype("<i8", copy=False))
