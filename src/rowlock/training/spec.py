"""The data spec: what a model was trained on, exactly enough to feed it the same way ever after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import rowlock as rl
from rowlock.errors import ConfigError
from rowlock.inputs.image_arguments import digests_of
from rowlock.inputs.matrices import open_matrix
from rowlock.training.config import COLUMNS
from rowlock.training.targets import Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from rowlock.arrays import AnyArray
    from rowlock.training.config import Config
    from rowlock.training.data import Prepared

__all__ = ["Spec", "columns_of", "columns_width", "key_type"]

FORMAT: Final = "rowlock-spec-1"


@dataclass(frozen=True, eq=False)
class Spec:
    """What ``spec.json`` holds.

    Attributes
    ----------
    inputs : dict of str to dict
        In the order of the model: ``kind`` (``"images"``, ``"features"``, ``"columns"``) and what that kind needs:
        column, size, resize and column of digests; store, number and names of its columns, key and statistics; columns,
        their categories and statistics.
    target : Target
    key : str or None
    key_type : {"int", "text"} or None
    mean, std : float64, shape (columns,), or None
        A model of quantities says ``(value - mean) / std``.
    """

    inputs: dict[str, dict[str, Any]]
    target: Target
    key: str | None
    key_type: str | None
    mean: AnyArray | None = None
    std: AnyArray | None = None

    @staticmethod
    def of(config: Config, prepared: Prepared) -> Spec:
        """Return the spec of a run's data."""
        train = prepared.train
        statistics = train.statistics
        inputs: dict[str, dict[str, Any]] = {}
        for name in train.input_specs:
            if name in config.image:
                inputs[name] = {"kind": "images", "column": config.image[name], "size": list(config.size),
                                "resize": "stretch", "channels": 3, "dtype": "uint8", "root": config.root,
                                "remote": list(config.remote),
                                "hashes": digests_of(config.image[name]) if config.verify else None}  # fmt: skip
            elif name in config.features:
                inputs[name] = _features(config, name) | {"statistics": statistics[name].to_dict()}
            else:
                inputs[name] = _of_columns(config, prepared) | {"statistics": statistics[COLUMNS].to_dict()}
        kind = None if config.key is None else ("int" if train.select([0]).keys.dtype.kind == "i" else "text")
        return Spec(inputs, prepared.target, config.key, kind, prepared.mean, prepared.std)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        target = {"task": self.target.task, "columns": list(self.target.columns), "classes": list(self.target.classes)}
        if self.mean is not None and self.std is not None:
            target |= {"mean": self.mean.tolist(), "std": self.std.tolist()}
        key = None if self.key is None else {"column": self.key, "type": self.key_type}
        return {"format": FORMAT, "rowlock": rl.__version__, "key": key, "inputs": self.inputs, "target": target}

    @staticmethod
    def load(path: Path) -> Spec:
        """Read ``spec.json``.

        Raises
        ------
        ConfigError
            There is none, or it is not one.
        """
        try:
            content = json.loads(path.read_bytes())
            if content["format"] != FORMAT:
                raise ConfigError(f"{path} has format {content['format']!r}; this version reads {FORMAT!r}")
            told, key = content["target"], content["key"] or {}
            target = Target(told["task"], tuple(told["columns"]), tuple(told["classes"]))
            mean, std = (np.array(told[name]) if name in told else None for name in ("mean", "std"))
            return Spec(content["inputs"], target, key.get("column"), key.get("type"), mean, std)
        except FileNotFoundError:
            raise ConfigError(f"there is no {path}: {path.parent} is not the folder of a run") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is not a data spec: {error!r}") from error

    def with_places(
        self, features: Mapping[str, str], root: str | None, unknown: str = "raise", verify: bool | None = None
    ) -> Spec:
        """Return the spec with stores and pictures at other addresses, and with what becomes of unknown categories.

        Parameters
        ----------
        features : dict of str to str
        root : str or None
        unknown : {"raise", "zeros"}
        verify : bool, optional
            Whether pictures are compared with their digests; by default as in training.

        Raises
        ------
        ConfigError
            An address for something that is not an input of features.
        """
        if unknown not in {"raise", "zeros"}:
            raise ConfigError(f"unknown must be 'raise' or 'zeros', not {unknown!r}")
        inputs = {name: dict(told) for name, told in self.inputs.items()}
        for name, store in features.items():
            if inputs.get(name, {}).get("kind") != "features":
                stores = [one for one, told in inputs.items() if told["kind"] == "features"]
                raise ConfigError(f"--features names {name!r}, which is no store of this run; its stores are {stores}")
            inputs[name]["store"] = store
        for told in inputs.values():
            if told["kind"] == "images" and root is not None:
                told["root"] = root
            if told["kind"] == "images" and verify is not None:
                told["hashes"] = digests_of(told["column"]) if verify else None
            if told["kind"] == "columns":
                told["unknown"] = unknown
        return Spec(inputs, self.target, self.key, self.key_type, self.mean, self.std)

    def rl_inputs(self) -> dict[str, rl.Input]:
        """Return the inputs, as the model was trained on them."""
        return {name: _INPUTS[told["kind"]](told) for name, told in self.inputs.items()}

    def statistics(self) -> dict[str, rl.ColumnStatistics]:
        """Return by what each input of numbers is standardised and filled."""
        return {
            name: rl.ColumnStatistics.from_dict(told["statistics"])
            for name, told in self.inputs.items()
            if "statistics" in told
        }

    def in_units(self, predicted: AnyArray) -> AnyArray:
        """Return what a model said in the target's own units, float64; probabilities as they are."""
        if self.mean is None or self.std is None:
            return predicted
        return np.asarray(predicted, np.float64) * self.std + self.mean


def columns_width(told: Mapping[str, Any]) -> int:
    """Return how many numbers columns of a table give a row: one each, of categories one for each category."""
    return sum(len(told["categories"].get(name, ".")) for name in told["columns"])


def key_type(table: pa.Table, column: str) -> str:
    """Return ``"int"`` or ``"text"``, as keys are told apart, or what else the column holds."""
    import pyarrow as pa  # noqa: PLC0415 - only for types

    kind = table.schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "int"
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return "text" if is_text else str(kind)


def _features(config: Config, name: str) -> dict[str, Any]:
    address = config.features[name]
    join = config.join.get(name)
    matrix = open_matrix(address, name, key=join or config.key, named_key=join is not None, columns=None, io=None)
    try:
        return {
            "kind": "features",
            "store": address,
            "join": join,
            "key_name": getattr(matrix, "key_name", None),
            "num_columns": matrix.num_columns,
            "columns": None if matrix.columns is None else list(matrix.columns),
            "source_dtype": str(matrix.dtype),
            "dtype": "float32",
            "fill_missing": "mean",
        }
    finally:
        matrix.close()


def _of_columns(config: Config, prepared: Prepared) -> dict[str, Any]:
    return {
        "kind": "columns",
        "columns": list(config.columns),
        "categories": {column: list(values) for column, values in prepared.categories.items()},
        "unknown": "raise",
        "dtype": "float32",
        "fill_missing": "mean",
    }


def _images(told: Mapping[str, Any]) -> rl.Input:
    height, width = told["size"]
    return rl.Images(
        told["column"],
        size=(height, width),
        root=told["root"],
        remote=rl.Remote(*told["remote"]) if told["remote"] else None,
        channels=told["channels"],
        dtype=told["dtype"],
        resize=told["resize"],
        verify="hash" if told.get("hashes") else None,
        hashes=told.get("hashes"),
    )


def _stored(told: Mapping[str, Any]) -> rl.Input:
    return rl.Features(
        told["store"],
        key=told["join"],
        dtype=told["dtype"],
        standardize=rl.ColumnStatistics.from_dict(told["statistics"]),
        fill_missing=told["fill_missing"],
    )


def columns_of(told: Mapping[str, Any], *, standardized: bool = True) -> rl.Input:
    """Return columns as the model gets them, or in the table's units: then a missing value is the mean all the same."""
    names, known = told["columns"], told["categories"]
    columns = [
        rl.Categories(name, known[name], missing="zeros", unknown=told["unknown"]) if name in known else name
        for name in names
    ]
    statistics = rl.ColumnStatistics.from_dict(told["statistics"])
    if standardized:
        return rl.Columns(columns, dtype=told["dtype"], standardize=statistics, fill_missing=told["fill_missing"])
    means = dict(zip(statistics.columns or (), np.nan_to_num(statistics.mean).tolist(), strict=True))
    return rl.Columns(columns, dtype=told["dtype"], fill_missing=[means[name] for name in names if name not in known])


_INPUTS: Final = {"images": _images, "features": _stored, "columns": columns_of}
