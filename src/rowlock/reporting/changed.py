"""Whether the table and the stores are those that a run was trained on, in rows that are not measured too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from rowlock.errors import ConfigError
from rowlock.training import folder as names
from rowlock.training.changes import changes_in_words
from rowlock.training.config import COLUMNS
from rowlock.training.data import reopened

if TYPE_CHECKING:
    from collections.abc import Mapping

    import rowlock as rl
    from rowlock.reporting.kept import Kept
    from rowlock.training import Run

__all__ = ["changes_since_training"]


def changes_since_training(
    run: Run, kept: Kept, frame: Any, features: Mapping[str, str], root: str | None
) -> list[str]:
    """Return a note on what the fingerprints of a run say of a table now; no picture and no row of a store is read.

    Parameters
    ----------
    run : Run
    kept : Kept
        With what ``run.toml`` says.
    frame, features, root
        As in `Run.predict`.

    Raises
    ------
    ConfigError
        The table or a store cannot be opened as it was in training.
    """
    before = kept.told.get("data")
    if not before:
        return []
    config = replace(kept.config, features={**kept.config.features, **features}, root=root or kept.config.root)
    data = reopened(config, run.spec, frame)
    try:
        train = data.select(_trained_rows(run, data))
        wanted = {name: one for name, one in run.spec.statistics().items() if name in (*config.features, COLUMNS)}
        changes = changes_in_words(train.with_statistics(wanted) if wanted else train, before, config)
    finally:
        data.close()
    if not changes:
        return []
    told = f"The data are not those of the training: {'; '.join(changes)}."
    return [f"{told} The model learnt from what was there then; what it is measured on may be the same."]


def _trained_rows(run: Run, data: rl.Dataset) -> Any:
    """Return where the training rows of a run are in a dataset, in its order; those that have gone are left out."""
    split = parquet.read_table(run.folder.file(names.SPLIT))
    own = split.filter(pc.equal(split.column("part"), "train")).column(0)
    if run.spec.key is None:
        rows = own.to_numpy()
        return rows[rows < len(data)]
    keys = data.column(run.spec.key)
    keys = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    places = pc.drop_null(pc.index_in(own.cast(keys.type), keys))
    if len(places) == 0:
        raise ConfigError("none of the training rows is in the table")
    return np.asarray(places).astype(np.int64)
