"""`Dataset`: named inputs, a target and keys that share one row axis."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rowlock.arguments import row_numbers
from rowlock.bad_rows import BadRows, OnError, check_policy
from rowlock.dataset_facts import Opened
from rowlock.dataset_parts import DatasetParts
from rowlock.dataset_views import DatasetViews
from rowlock.errors import AlignmentError, ConfigError
from rowlock.fitting import known_statistics, measure, require_fitted, with_statistics
from rowlock.gathering import Gathering, Slot
from rowlock.inputs import Input, Labels
from rowlock.inputs.base import Draw, check_rows
from rowlock.memory import refuse_larger_than_memory
from rowlock.plan import Last, Plan
from rowlock.roles import Role, roles_of
from rowlock.sampling import Sampling, balanced_order, check_sampling, weighted_order
from rowlock.selection import Selection
from rowlock.table import Table

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rowlock.arrays import Int64Array
    from rowlock.batch import Batch
    from rowlock.engine import Engine
    from rowlock.loader import Loader
    from rowlock.orders import Order
    from rowlock.store import ColumnStatistics
    from rowlock.store.progress import Progress

__all__ = ["Dataset"]


class Dataset(DatasetParts, DatasetViews):
    """Rows of a table with all that belongs to them: pictures, features, columns, target.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ..., or str or path
        The table, given once; everything else names its columns. Later changes to it have no effect here. Or the
        address of a Parquet, Arrow IPC (Feather) or CSV file, or of a folder of Parquet files, which may be larger than
        memory: the columns that are needed are converted once, kept in `cache`, and mapped.
    inputs : dict of str to Input
        What a model gets, under the names of its inputs: `Images`, `Features`, `Columns`, ...
    target : Input or dict of str to Input, optional
        What it shall predict: `Labels`, `Column`, or a dict of them; None to predict with.
    key : str, optional
        Column that identifies the rows; needed to join stores that were written with keys. Integers or
        text; a key may stand in several rows.
    sample_weight : str, optional
        Column of numbers: the weight of each row in the loss; finite, not negative.
    missing : {"raise", "drop"}
        What becomes of rows whose key a store does not have; what was left out is in `dropped`.
    cache : str or path, optional
        Folder for the columns of a table that is a file; by default what the environment variable ``ROWLOCK_CACHE``
        says, else beside the table, ``table.parquet.rowlock``. It may be deleted at any time.
    types : dict of str to {"text", "int", "float", "bool"}, optional
        What columns of a CSV file are, where their first values do not tell: ``{"house_id": "text"}``.

    Raises
    ------
    ConfigError
        A wrong column, keys that do not join, a target with missing values, ...; the message names the
        column, the first values, and what to do.
    SourceError
        A table file is damaged, is not there, or was changed while it was in use.
    """

    def __init__(
        self,
        frame: Any,
        inputs: Mapping[str, Input],
        target: Input | Mapping[str, Input] | None = None,
        *,
        key: str | None = None,
        sample_weight: str | None = None,
        missing: str = "raise",
        cache: str | os.PathLike[str] | None = None,
        types: Mapping[str, str] | None = None,
    ) -> None:
        if missing not in ("raise", "drop"):
            raise ConfigError(f"missing must be 'raise' or 'drop', not {missing!r}")
        named = roles_of(inputs, target, sample_weight)
        table = Table(frame, key=key, missing=missing, cache=cache, types=types)
        keys = table.row_keys()
        slots = tuple(Slot(role, name, what.open(table, name or role)) for role, name, what in named)
        for slot in slots:
            refuse_larger_than_memory(slot.reader.spec.row_bytes, f"one row of {slot.label!r}")
        self._opened = Opened(table, keys, slots, tuple(named), threading.Event())
        self._selection = Selection(table.num_rows)
        self._is_measured = False
        self._labels = {name: what for role, name, what in named if role == "target" and isinstance(what, Labels)}
        for slot, (_, _, what) in zip(slots, named, strict=True):
            what.opened_as(slot.reader)
        self._leave_out_missing()

    def fit_statistics(self, *others: Dataset, progress: Progress = None) -> tuple[Dataset, ...]:
        """Measure these rows (those of training), and standardise and fill these and the others by what was found.

        ::

            train, valid, test = data.split(0.8, 0.1, 0.1)
            train, valid, test = train.fit_statistics(valid, test)

        For inputs with ``rl.Features(..., standardize=True)`` or ``fill_missing="mean"``. Each is read once, in the
        order in which it is stored, in a bounded amount of memory; every row is checked. The rows of the others are
        not looked at.

        Parameters
        ----------
        *others : Dataset
            Other parts, or datasets of other frames with the same inputs.
        progress : True, callable or None
            True shows a bar; a function gets (rows done, rows in all), input by input.

        Returns
        -------
        parts : tuple of Dataset
            This one and the others, all with the same `statistics`.

        Raises
        ------
        ConfigError
            No input asks for it, or a part has statistics already.
        RowError
            A row cannot be read.
        """
        if not all(isinstance(other, Dataset) for other in others):
            raise ConfigError("fit_statistics takes the other parts: train.fit_statistics(valid, test)")
        found = measure(self._slots, self._opened.keys, self._selection.all(), progress)
        own = self._of(self._selection, with_statistics(self._slots, found), is_measured=True)
        return own, *(other.with_statistics(found) for other in others)

    def with_statistics(self, statistics: Mapping[str, ColumnStatistics]) -> Dataset:
        """Return these rows, standardised and filled by the `statistics` of the training, such as saved ones.

        Parameters
        ----------
        statistics : dict of str to ColumnStatistics
            Under the names of the inputs that ask for statistics of training rows.

        Raises
        ------
        ConfigError
            An input asks for some and is not named, has some already, or has other columns.
        """
        return self._of(self._selection, with_statistics(self._slots, statistics))

    @property
    def statistics(self) -> dict[str, ColumnStatistics]:
        """What inputs are standardised and filled by, under their names; save it with the model."""
        return known_statistics(self._slots)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        sampling: Sampling | None = None,
        weights: str | None = None,
        last: Last = "keep",
        augment: bool | None = None,
        on_error: OnError = "raise",
        max_bad: float = 0.01,
        bad_rows_file: str | os.PathLike[str] | None = None,
        shard: tuple[int, int] | None = None,
        engine: Engine | None = None,
    ) -> Loader:
        """Return a loader of these rows.

        Parameters
        ----------
        batch_size : int
            Rows a batch; on each rank, where there are several.
        shuffle : bool
            An exact new permutation each epoch; False: the dataset's own order.
        seed : int
            The one integer that fixes the order of all epochs.
        sampling : {"balanced"}, optional
            Draw every class of the target equally often. An epoch still has ``len(data)`` rows: rows of small classes
            come several times, those of large ones take their turns over the epochs; see `rowlock.orders.Balanced`.
        weights : str, optional
            Column of numbers: draw rows in proportion to it, ``len(data)`` of them an epoch; finite, not negative,
            not all zero. See `rowlock.orders.Weighted`. (How much a row counts in the loss is `sample_weight`.)
        last : {"keep", "drop", "pad"}
            What becomes of the rows that do not fill the last batch; see `Plan`.
        augment : bool, optional
            Whether pictures are augmented; by default as `shuffle`.
        on_error : {"raise", "mask", "skip"}
            What becomes of a row that cannot be read. ``"mask"``: it stays, as zeros of weight 0, so that shapes
            and steps never change. ``"skip"``: it leaves its batch, in all inputs at once. Either way it is
            listed in `Loader.bad_rows`. A disk or network that fails is never a bad row, but an error.
        max_bad : float
            Most bad rows, as a share of the rows delivered so far (of the first thousand until then).
        bad_rows_file : path, optional
            A JSON-lines file that gets every bad row as it is met.
        shard : (rank, world_size), optional
            This process, of how many.
        engine : Engine, optional
            How fast: threads, prefetch and memory; by default one that all loaders share.

        Raises
        ------
        ConfigError
            A wrong argument, or a batch that is larger than the engine's memory budget; the message says which, and
            what to do.
        """
        from rowlock.loader import Loader  # noqa: PLC0415 - the loader is above the dataset; here it is only convenient

        require_fitted(self._slots)
        rank, world_size = _shard(shard)
        check_policy(on_error, world_size=world_size)
        plan = Plan(
            num_rows=len(self),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            augment=shuffle if augment is None else augment,
            last=last,
            rank=rank,
            world_size=world_size,
            sampling=self._sampling_order(sampling, weights),
        )
        bad_rows = BadRows(max_bad, len(self), bad_rows_file, rank=plan.rank, world_size=plan.world_size)
        return Loader(self, plan, on_error=on_error, bad_rows=bad_rows, engine=engine)

    def gather(self, rows: Int64Array, draw: Draw | None = None) -> Batch:
        """Read the given rows of this dataset into a batch, in the calling thread: the slow, obvious way.

        Parameters
        ----------
        rows : integers, shape (n,)
        draw : (seed, epoch), optional
            For augmentation.
        """
        rows = row_numbers(rows, "rows to gather")
        gathering = self.gathering(rows, draw)
        for piece in gathering.pieces():
            gathering.run(piece)
        return gathering.batch(step=0, epoch=0 if draw is None else draw[1])

    def gathering(self, rows: Int64Array, draw: Draw | None = None, on_error: OnError = "raise") -> Gathering:
        """Return the given rows as a batch in the making."""
        check_rows(rows, len(self))
        require_fitted(self._slots)
        opened, table_rows = self._opened, self._selection.at(rows)
        return Gathering(self._slots, opened.keys, rows, table_rows, draw, on_error, opened.closed.is_set)

    def __reduce__(self) -> NoReturn:
        raise ConfigError(
            "a dataset cannot be pickled or copied: it holds open files and maps. Send the frame, or the address of a"
            " table file, to the other process, started with 'spawn', and make the dataset there. Parts of it in this"
            " process are data.select(...)."
        )

    def close(self) -> None:
        """Release the stores that this dataset opened, for all parts of it; batches that need them are errors then."""
        self._opened.closed.set()
        for slot in self._slots:
            slot.reader.close()

    def _sampling_order(self, sampling: Sampling | None, weights: str | None) -> Order | None:
        check_sampling(sampling, weights)
        if sampling is not None:
            targets = [slot for slot in self._slots if slot.role == "target"]
            return balanced_order(targets, self._labels, self._selection.all())
        if weights is not None:
            return weighted_order(self._opened.table, weights, self._selection.all(), self._opened.keys)
        return None

    def _of(
        self,
        selection: Selection,
        slots: tuple[Slot, ...] | None = None,
        *,
        roles: tuple[Role, ...] | None = None,
        is_measured: bool = False,
    ) -> Dataset:
        part = object.__new__(Dataset)
        opened = self._opened
        part._opened = opened._replace(slots=opened.slots if slots is None else slots, roles=roles or opened.roles)
        part._labels = self._labels
        part._selection = selection
        part._is_measured = self._is_measured or is_measured
        return part

    def _leave_out_missing(self) -> None:
        missing = [slot.reader.missing_rows for slot in self._slots if slot.reader.missing_rows is not None]
        if missing:
            self._selection = self._selection.without(np.concatenate(missing))
            if len(self) == 0:
                raise AlignmentError("no row is left: none of the frame's keys is in all of the stores")


def _shard(shard: Any) -> tuple[int, int]:
    if shard is None:
        return 0, 1
    try:
        rank, world_size = shard
    except (TypeError, ValueError):
        raise ConfigError(f"shard is the pair (rank, world_size), such as (0, 4), not {shard!r}") from None
    return rank, world_size
