"""Which format something is in, by its content and not by its name (but for CSV), and who opens it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rowlock.errors import ConfigError, SourceNotFoundError
from rowlock.sources.arrow import ArrowFile, ArrowStream
from rowlock.sources.base import reading
from rowlock.sources.bcolz import BcolzFolder
from rowlock.sources.npy import NpyFile
from rowlock.sources.npz import open_npz
from rowlock.sources.objects import FrameRows, MatrixRows, StoreRows, as_frame
from rowlock.sources.parquet import ParquetFile
from rowlock.sources.text import CsvFile
from rowlock.store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rowlock.sources.base import RowSource
    from rowlock.sources.tree import Tree

__all__ = ["FORMATS", "open_source", "recognise", "split_address", "table_columns"]

FORMATS: Final = {
    "store": "a feature store",
    "parquet": "Parquet (.parquet)",
    "arrow": "Arrow IPC or Feather (.arrow, .feather)",
    "stream": "Arrow IPC stream (.arrows)",
    "csv": "CSV (.csv, .csv.gz)",
    "npy": "NumPy (.npy)",
    "npz": "NumPy or SciPy archive (.npz)",
    "hdf5": "HDF5 or AnnData (.h5, .h5ad)",
    "zarr": "Zarr array, group or AnnData (folder)",
    "bcolz": "bcolz carray (folder)",
}
_MAGIC: Final = {
    b"PAR1": "parquet", b"ARROW1": "arrow", b"\x93NUMPY": "npy", b"PK\x03\x04": "npz", b"\x89HDF\r\n\x1a\n": "hdf5",
    b"\xff\xff\xff\xff": "stream",
}  # fmt: skip
_TABLES = {"parquet", "arrow", "stream", "csv"}
_PARTS = {"npz", "hdf5", "zarr"}


def split_address(address: str) -> tuple[Path, str | None]:
    """Return the path and the array's name of ``file.h5::features``; a path that exists is one path."""
    path = Path(address).expanduser()
    if not path.exists() and "::" in address:
        head, _, name = address.rpartition("::")
        return Path(head).expanduser(), name
    return path, None


def recognise(path: Path) -> str | None:
    """Return the format of what is at `path`, one of `FORMATS`, or None where it is none of them.

    Raises
    ------
    SourceNotFoundError
        There is nothing.
    """
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise SourceNotFoundError(f"there is nothing at {path}")
    with reading(str(path)), path.open("rb") as file:
        start = file.read(8)
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return name
    return "csv" if path.name.lower().endswith((".csv", ".csv.gz", ".csv.bz2", ".csv.zst")) else None


def table_columns(path: Path, found: str) -> list[str] | None:
    """Return the columns of a Parquet or Arrow file, or None for other formats."""
    if found not in {"parquet", "arrow"}:
        return None
    with reading(str(path)):
        import pyarrow as pa

        if found == "arrow":
            return list(pa.ipc.open_file(pa.memory_map(str(path))).schema.names)
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)


def open_source(
    source: Any,
    *,
    dataset: str | None = None,
    key: str | None = None,
    columns: Sequence[str | int] | None = None,
    dtype: Any = None,
    key_type: str | None = None,
) -> RowSource:
    """Open an address, a frame, a matrix or an iterator as a source of rows.

    Parameters
    ----------
    source
        See `rowlock.pack`.
    dataset : str or None
        Array inside of a file or group.
    key : str or None
        Column (or array beside the matrix) that holds the keys.
    columns : list of str or None
        Features of a table; sources that are no tables ignore it.
    dtype, key_type
        What is wanted, for formats without types (CSV).

    Raises
    ------
    ConfigError
        An unknown format, or something that this format does not have.
    SourceError
        Damaged, or nothing there.
    """
    if isinstance(source, str | os.PathLike):
        path, part = split_address(os.fspath(source))
        return _open_path(path, dataset or part, key, columns, dtype, key_type)
    _require_no(dataset, "dataset", "a frame or an array")
    if isinstance(source, FeatureStore):
        _require_no(key, "key", f"{source.path}, which has its own keys or none")
        return StoreRows(source)
    if hasattr(source, "read_next_batch"):
        return ArrowStream(source, "the record batches", key=key, columns=columns)
    if isinstance(source, Iterator):
        first = next(source, None)
        head, source = first, source if first is None else itertools.chain([first], source)
    else:
        head = source
    if as_frame(head) is not None:
        return FrameRows(source, key=key, columns=columns)
    _require_no(key, "key", f"{type(source).__name__}, which has no column names: give keys=")
    return MatrixRows(source)


def _open_path(
    path: Path,
    dataset: str | None,
    key: str | None,
    columns: Sequence[str | int] | None,
    dtype: Any,
    key_type: str | None,
) -> RowSource:
    found = recognise(path)
    if found is None:
        raise ConfigError(
            f"{path} is in no format that is read here: {', '.join(FORMATS.values())};"
            " or read it with pandas and give the frame to rl.pack"
        )
    if found not in _PARTS:
        _require_no(dataset, "dataset", f"{path}, which is one matrix ({FORMATS[found]})")
    if found in {"store", "npy", "bcolz"}:
        _require_no(key, "key", f"{path}, which has no named columns ({FORMATS[found]}): in Python, give keys=")
    if key_type is not None and found != "csv":
        raise ConfigError(f"key_type= (--key-type) is for CSV, which has no types; {path} has its own")
    if found == "csv":
        return CsvFile(path, key=key, columns=columns, dtype=dtype, key_type=key_type)
    if found in _TABLES:
        openers: dict[str, Callable[..., RowSource]] = {
            "parquet": ParquetFile,
            "arrow": ArrowFile,
            "stream": ArrowStream.of_file,
        }
        return openers[found](path, key=key, columns=columns)
    if found in _PARTS:
        return _open_part(path, found, dataset, key)
    return {"store": _store, "npy": NpyFile, "bcolz": BcolzFolder}[found](path)


def _open_part(path: Path, found: str, dataset: str | None, key: str | None) -> RowSource:
    """Open an array inside of a file or group."""
    if found == "npz":
        return open_npz(path, dataset=dataset, key=key)
    from rowlock.sources.anndata import AnnDataRows, is_anndata
    from rowlock.sources.hdf5 import Hdf5Tree
    from rowlock.sources.tree import the_matrix
    from rowlock.sources.zarr_arrays import ZarrRows, ZarrTree, array_metadata

    if found == "zarr" and array_metadata(path) is not None:
        _require_no(dataset, "dataset", f"{path}, which is one array")
        _require_no(key, "key", f"{path}, which is an array without names: in Python, give keys=")
        return ZarrRows(path, str(path))
    tree: Tree = Hdf5Tree(path) if found == "hdf5" else ZarrTree(path)
    try:
        if is_anndata(tree):
            return AnnDataRows(tree, dataset=dataset, key=key)
        return tree.matrix(dataset or the_matrix(tree), key)
    except BaseException:
        tree.close()
        raise


def _store(path: Path) -> RowSource:
    return StoreRows(FeatureStore.open(path), owned=True)


def _of_folder(path: Path) -> str | None:
    if (path / "meta" / "sizes").is_file() and (path / "meta" / "storage").is_file():
        return "bcolz"
    root = path / "zarr.json"
    if root.is_file():
        try:
            attributes = json.loads(root.read_bytes()).get("attributes") or {}
        except (OSError, ValueError, AttributeError, RecursionError):
            return "store"  # which says best what is wrong with it
        return "store" if "rowlock" in attributes else "zarr"
    return "zarr" if (path / ".zarray").is_file() or (path / ".zgroup").is_file() else None


def _require_no(value: Any, name: str, what: str) -> None:
    if value is not None:
        raise ConfigError(f"{name}={value!r} (--{name}) does not apply to {what}")
