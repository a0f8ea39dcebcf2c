"""``rowlock pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowlock.cli.choices import KeyType, Layout
from rowlock.cli.commands import examples
from rowlock.cli.terminal import console, show_lines
from rowlock.cli.wording import in_options
from rowlock.notes import showing_notes
from rowlock.store_report import packed_lines

__all__ = ["pack"]


@examples(
    "rowlock pack features.parquet growth.zarr --key object_id",
    "rowlock pack table.csv growth.zarr --key id --columns age,height",
    "rowlock pack matrix.npy growth.zarr --dtype float16",
    "rowlock pack file.h5::group/features growth.zarr --key group/ids",
    "rowlock pack cells.h5ad cells.zarr --dataset layers/counts",
    "rowlock pack old_bcolz_folder growth.zarr --overwrite",
)
def pack(
    source: Annotated[
        str,
        typer.Argument(
            help="Parquet, CSV, Arrow, .npy, .npz, HDF5, AnnData, Zarr or bcolz; file.h5::name for an array."
        ),
    ],
    store: Annotated[Path, typer.Argument(help="The feature store to make.")],
    key: Annotated[str | None, typer.Option(help="Column that identifies the rows.")] = None,
    key_type: Annotated[KeyType | None, typer.Option(help="What the keys of a CSV file are.")] = None,
    columns: Annotated[str | None, typer.Option(help="Features wanted, by name or number: a,b,c; default all.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Array inside of an .npz, HDF5, Zarr or AnnData source.")] = None,
    dtype: Annotated[str, typer.Option(help="What is stored; 'source' keeps the source's.")] = "float32",
    layout: Annotated[Layout, typer.Option(help="How rows are stored; auto looks at the data.")] = Layout.auto,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the store, once the new one is complete.")
    ] = False,
) -> None:
    """Write a feature store from a file of another format, in a stream.

    Ctrl-C keeps the rows so far as a whole store.
    """
    import time

    from rowlock.packing import pack as run

    started = time.perf_counter()
    try:
        with showing_notes(in_options):
            packed = run(
                source,
                store,
                key=key,
                key_type=None if key_type is None else key_type.value,
                columns=None if columns is None else [part.strip() for part in columns.split(",")],
                dataset=dataset,
                dtype=None if dtype == "source" else dtype,
                layout=layout.value,
                overwrite=overwrite,
                progress=console.is_terminal,
            )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or "stopped: nothing was written") from None
    show_lines(packed_lines(packed, time.perf_counter() - started))
