"""`Run`: a trained model and its data spec, from a folder: to predict, and to ask what it looks at."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

import rowlock as rl
from rowlock.backend import load
from rowlock.errors import ConfigError
from rowlock.training import folder as names
from rowlock.training.data import arrow_table
from rowlock.training.fits import require_fit, require_fit_key
from rowlock.training.folder import RunFolder, read_config, read_metrics
from rowlock.training.pictures import lost_pictures
from rowlock.training.spec import Spec

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rowlock.arrays import AnyArray, BoolArray
    from rowlock.training.config import Config
    from rowlock.training.explain import Explanation

__all__ = ["Run", "predicted_by"]


class Run:
    """A finished training; see `train` and `Run.open`.

    Attributes
    ----------
    folder : RunFolder
    spec : Spec
        What the model was trained on; data for predictions must fit it.
    config : Config
        What the training was told.
    metrics : dict
        What ``metrics.json`` says: the metrics, and the rows that they were measured on.
    """

    def __init__(self, folder: RunFolder, spec: Spec, config: Config, metrics: dict[str, Any], model: Any) -> None:
        self.folder = folder
        self.spec = spec
        self.config = config
        self.metrics = metrics
        self._model = model

    @staticmethod
    def open(path: str | os.PathLike[str], *, model: Any = None) -> Run:
        """Open the folder of a run. Nothing in it is executed: the model is plain layers, loaded in Keras' safe mode.

        Parameters
        ----------
        path : path
        model : keras.Model, optional
            The run's model, where it is in memory already.

        Raises
        ------
        ConfigError
            There is no finished run.
        """
        folder = RunFolder(path)
        folder.require_begun()
        if not folder.is_complete:
            raise ConfigError(
                f"the run in {folder.path} is not finished. To go on: rowlock train --config {folder.file(names.RUN)}"
            )
        config, _ = read_config(folder.file(names.RUN))
        return Run(folder, Spec.load(folder.file(names.SPEC)), config, read_metrics(folder.file(names.METRICS)), model)

    def __repr__(self) -> str:
        main = self.metrics["main"]
        return (
            f"Run({str(self.folder.path)!r}: {', '.join(self.spec.inputs)} -> {self.spec.target.name},"
            f" {main} {self.metrics['metrics'][main]:.3f} on {self.metrics['measured_on']})"
        )

    @cached_property
    def model(self) -> Any:
        """The `keras.Model`; takes a dict of inputs by name."""
        if self._model is not None:
            return self._model
        load()
        import keras  # noqa: PLC0415 - the backend is chosen by now

        path = self.folder.file(names.MODEL)
        try:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds for files that are none
            raise ConfigError(f"{path} cannot be loaded: {error}") from error

    def check(
        self,
        frame: Any,
        *,
        features: Mapping[str, str] | None = None,
        unknown: str = "raise",
        verify: bool | None = None,
        with_target: bool = False,
    ) -> None:
        """Compare a table and its stores with the spec; takes no time.

        Raises
        ------
        ConfigError
            Names all that differs.
        """
        table = arrow_table(frame, self.spec.key)
        require_fit(self.spec.with_places(features or {}, None, unknown, verify), table, with_target=with_target)

    def part_of(self, frame: Any, part: str) -> Any:
        """Return the rows of a table that were in a part of the run's split, in the table's order.

        Parameters
        ----------
        frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
            The table of the training, or one with rows of it.
        part : {"train", "valid", "test"}

        Raises
        ------
        ConfigError
            There is no such part, the run has no keys, or a key's rows are in several parts.
        """
        from pyarrow import parquet  # noqa: PLC0415 - loaded on use

        if self.spec.key is None:
            raise ConfigError("this run was trained without --key, so nobody knows which rows were in which part")
        split = parquet.read_table(self.folder.file(names.SPLIT)).to_pydict()
        own = {key for key, one in zip(split[self.spec.key], split["part"], strict=True) if one == part}
        others = {key for key, one in zip(split[self.spec.key], split["part"], strict=True) if one != part}
        if not own:
            raise ConfigError(f"the run has no part {part!r}; it has {', '.join(dict.fromkeys(split['part']))}")
        if own & others:
            raise ConfigError(
                f"rows of key {next(iter(own & others))!r} are in several parts, so keys do not tell them"
            )
        require_fit_key(self.spec, arrow_table(frame, self.spec.key))
        wrapped = nw.from_native(frame, eager_only=True)
        if self.spec.key not in wrapped.columns:
            wrapped = nw.from_native(wrapped.to_native().reset_index(), eager_only=True)
        found = wrapped.filter(nw.col(self.spec.key).is_in(list(own)))
        if len(found) == 0:
            raise ConfigError(f"no row of the table was in the run's part {part!r}")
        return found.to_native()

    def predict(
        self,
        frame: Any,
        *,
        features: Mapping[str, str] | None = None,
        root: str | None = None,
        unknown: str = "raise",
        verify: bool | None = None,
        on_error: str = "raise",
        max_bad: float = 1.0,
        bad_rows_file: str | os.PathLike[str] | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Return what the model says about every row of a table, once, in its order, beside the keys.

        Parameters
        ----------
        frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
            With the columns that the spec names; the target need not be among them.
        features : dict of str to str, optional
            Where stores are now, by the input's name, if not where they were.
        root : str, optional
            Folder that relative paths start from, if another one.
        unknown : {"raise", "zeros"}
            ``"zeros"``: a category that no training row had is none of the categories, as a missing one is.
        verify : bool, optional
            Compare the bytes of every picture with its digest, a column of the table; by default as in training.
        on_error : {"raise", "mask"}
            ``"mask"``: the predictions of a row that cannot be read are missing.
        max_bad : float
            Most such rows, as a share.
        bad_rows_file : path, optional
            A JSON-lines file that gets each of them, with key, path and reason, as of `Dataset.batches`.
        batch_size : int, optional
            By default that of the training.

        Returns
        -------
        frame
            Of the kind given. The key (without one: the frame's index, or a column ``row``), ``predicted_<target>``,
            and ``probability_<class>`` for each class or label. Quantities are in the target's units.

        Raises
        ------
        ConfigError
            The table or a store does not fit; nothing was read.
        RowError
            A row cannot be read.
        """
        if on_error not in {"raise", "mask"}:
            raise ConfigError(f"on_error must be 'raise' or 'mask' (every row has a place), not {on_error!r}")
        spec = self.spec.with_places(features or {}, root, unknown, verify)
        require_fit(spec, arrow_table(frame, spec.key))
        lost = self.lost_pictures(frame, root)
        if lost and on_error == "raise":
            raise ConfigError(f"{lost}. Nothing was read.")
        data = rl.Dataset(frame, spec.rl_inputs(), key=spec.key)
        try:
            size = batch_size or self.config.batch_size
            predicted = predicted_by(self.model, data, spec, batch_size=size, on_error=on_error, max_bad=max_bad,
                                     bad_rows_file=bad_rows_file)  # fmt: skip
            return data.frame_of(*_columns(spec, predicted))
        finally:
            data.close()

    def lost_pictures(self, frame: Any, root: str | None = None) -> str | None:
        """Return in words that of a few pictures from the whole of a table none is there; None where one is."""
        table = arrow_table(frame, self.spec.key)
        for name, told in self.spec.inputs.items():
            if told["kind"] == "images":
                trained = [] if told["root"] is None else [told["root"]]
                lost = lost_pictures(table, {name: told["column"]}, root or told["root"], trained)
                if lost:
                    return lost
        return None

    def explain(
        self,
        frame: Any,
        *,
        rows: int | None = 2000,
        columns: int = 20,
        repeats: int = 5,
        seed: int = 0,
        features: Mapping[str, str] | None = None,
        root: str | None = None,
        unknown: str = "raise",
        verify: bool | None = None,
    ) -> Explanation:
        """Return how much the metric drops when an input, or one of its columns, is that of other rows.

        Permutation importance (Breiman, 2001; Fisher, Rudin and Dominici, 2019): the rows of one input, or one column
        of it, are shuffled across the table, everything else stays. What drops nothing is not needed by this model: it
        tells nothing, or another input tells the same.

        Parameters
        ----------
        frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
            With the target; best rows that were not trained on.
        rows : int or None
            At most so many of them, by chance; None: all.
        columns : int
            So many columns an input are measured with all repeats: those that raise the loss most in one.
        repeats : int
            Permutations of each.
        seed : int
        features, root, unknown, verify : optional
            As in `predict`.

        Returns
        -------
        Explanation
        """
        from rowlock.training.explain import explain  # noqa: PLC0415 - loads Keras

        spec = self.spec.with_places(features or {}, root, unknown, verify)
        return explain(self.model, spec, frame, rows=rows, columns=columns, repeats=repeats, seed=seed,
                       batch_size=self.config.batch_size)  # fmt: skip


def predicted_by(
    model: Any,
    data: rl.Dataset,
    spec: Spec,
    *,
    batch_size: int,
    on_error: str = "raise",
    max_bad: float = 1.0,
    bad_rows_file: str | os.PathLike[str] | None = None,
) -> AnyArray:
    """Return what a model says about every row, float64 of shape (rows, outputs), in units; NaN where it was masked."""
    import rowlock.keras  # noqa: PLC0415 - loads Keras

    size = min(batch_size, len(data))
    loader = data.batches(size, shuffle=False, last="pad", on_error=on_error, max_bad=max_bad,  # type: ignore[arg-type] # checked
                          bad_rows_file=bad_rows_file)  # fmt: skip
    try:
        said = nw.from_native(rowlock.keras.predict(model, loader), eager_only=True)
    finally:
        loader.close()
    outputs = said.columns[-spec.target.num_outputs :]
    columns = [said.get_column(name).to_numpy().astype(np.float64) for name in outputs]
    return spec.in_units(np.column_stack(columns))


def _columns(spec: Spec, predicted: AnyArray) -> tuple[dict[str, Any], BoolArray]:
    """Return the columns of a prediction, and the rows that have none."""
    target = spec.target
    missing: BoolArray = np.asarray(np.isnan(predicted).any(axis=1))
    known = np.nan_to_num(predicted)
    columns: dict[str, Any]
    if target.task == "quantity":
        return {f"predicted_{name}": known[:, place] for place, name in enumerate(target.columns)}, missing
    if target.task == "classes":
        answer = [target.classes[place] for place in known.argmax(axis=1).tolist()]
        columns = {f"predicted_{target.name}": answer}
    elif target.are_flags:
        columns = {f"predicted_{name}": known[:, place] > 0.5 for place, name in enumerate(target.classes)}
    else:
        said = [[label for label, one in zip(target.classes, row, strict=True) if one > 0.5] for row in known.tolist()]
        columns = {f"predicted_{target.name}": said}
    columns |= {f"probability_{name}": known[:, place].astype(np.float32) for place, name in enumerate(target.classes)}
    return columns, missing
