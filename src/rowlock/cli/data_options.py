"""The words that `check`, `look`, `bench`, `train` and `predict` share, and the dataset that they describe."""

from __future__ import annotations

import functools
import inspect
import typing
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rowlock.arguments import nearest
from rowlock.cli.pairs import by_name
from rowlock.cli.told_of_data import ToldOfData
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    import rowlock as rl
    from rowlock.arrays import BoolArray
    from rowlock.training.targets import Target

__all__ = ["MISSING_HELP", "DataOptions", "takes_data"]

Function = TypeVar("Function", bound="Callable[..., Any]")

MISSING_HELP: Final = "What becomes of rows without target, or whose key a store lacks."


@dataclass(frozen=True)
class DataOptions(ToldOfData):
    """The data that a command is told of: the table, the inputs and the target, and the dataset of them."""

    @functools.cached_property
    def frame(self) -> Any:
        """The table, read once: a `pyarrow.Table`."""
        from rowlock.cli.tables import read_table
        from rowlock.training.column_inputs import without_codes

        key_type = None if self.key_type is None else self.key_type.value
        types = {**dict.fromkeys(self.images.values(), "text"), **self.column_types}
        table = read_table(self.table, key=self.key, key_type=key_type, types=types)
        for name in self.column_types:
            if name not in table.column_names:
                raise ConfigError(f"--type: {self.table} has no column {name!r}.{nearest(name, table.column_names)}")
        return without_codes(table)

    @functools.cached_property
    def image_root(self) -> str | None:
        """Where relative paths start: what was said, else what the table says of itself."""
        from rowlock.cli.roots import recorded_root, require_root

        if self.root is not None:
            return require_root(self.root)
        noted = recorded_root(self.frame)
        if noted is not None and not noted.is_dir():
            raise ConfigError(
                f"{self.table} notes that its pictures are below {noted}, which is not there: say --root DIR"
            )
        return None if noted is None else str(noted)

    def inputs(
        self,
        *,
        augment: rl.Augment | None = None,
        standardize: Any = False,
        fill_missing: str | None = None,
        cache: str | None = None,
    ) -> dict[str, rl.Input]:
        """Return the inputs, by name.

        Parameters
        ----------
        augment : Augment, optional
            Of all pictures.
        standardize : bool or "store"
        fill_missing : str, optional
            Of all feature stores, as in `Features`; training fills by ``"mean"``.
        cache : str, optional
            Folder for decoded pictures.

        Raises
        ------
        ConfigError
            None is named, two have one name, or digests to verify are not in the table.
        """
        import rowlock as rl
        from rowlock.training.digests import require_digests

        if self.verify:
            require_digests(self.frame, self.images)
        joins, found = self.joins, list[tuple[str, rl.Input]]()
        for name, column in self.images.items():
            found.append((name, self._images(column, augment, cache)))
        for name, address in self.stores.items():
            store = rl.Features(address, key=joins.get(name), standardize=standardize, fill_missing=fill_missing)
            found.append((name, store))
        if self.column_names:
            found.append(("columns", self._columns()))
        if not found:
            raise ConfigError(
                f"nothing of {self.table} is named: say --image COL, --features NAME=STORE or --columns A,B."
                f" Its columns are {', '.join(map(str, self.frame.column_names[:12]))}."
            )
        return by_name("inputs", found)

    def _columns(self) -> rl.Columns:
        """Return the table's own columns as a model gets them, before they are standardised."""
        from rowlock.training.column_inputs import columns_input, gaps_in

        has_gaps = gaps_in(self.frame, self.column_names)
        return columns_input(self.frame, self.column_names, fill_missing="mean" if has_gaps else None)

    def _images(self, column: str, augment: rl.Augment | None, cache: str | None) -> rl.Images:
        import rowlock as rl

        remote = rl.Remote(*self.remote) if self.remote else None
        return rl.Images(
            column,
            size=self.image_size,
            root=self.image_root,
            remote=remote,
            augment=augment,
            cache=cache,
            verify="hash" if self.verify else None,
        )

    @functools.cached_property
    def told_target(self) -> Target | None:
        """What is to be predicted, as `rowlock train` understands it; None where no column is named.

        Raises
        ------
        ConfigError
            There is no such column, or its type cannot be predicted.
        """
        from rowlock.training.targets import find_target, target_columns

        if self.target is None:
            return None
        return find_target(self.frame, target_columns(self.frame, self.target), self.task.value)

    @functools.cached_property
    def lacking(self) -> BoolArray:
        """Where a row of the table lacks its target; shape (rows,)."""
        import numpy as np

        from rowlock.training.targets import rows_without_target

        if self.told_target is None:
            return np.zeros(self.frame.num_rows, np.bool_)
        return rows_without_target(self.frame, self.told_target.columns)

    def table_and_target(self) -> tuple[pa.Table, rl.Input | None]:
        """Return the table as the target wants it, and how the target is read."""
        from rowlock.training.target_inputs import input_of
        from rowlock.training.targets import whole_classes

        target = self.told_target
        return (self.frame, None) if target is None else (whole_classes(self.frame, target), input_of(target))

    def dataset(
        self,
        *,
        augment: rl.Augment | None = None,
        standardize: Any = False,
        cache: str | None = None,
        missing: str = "raise",
    ) -> rl.Dataset:
        """Return the dataset that the options describe, of the rows that have a target.

        Arguments as those of `inputs` and `Dataset`.
        """
        import pyarrow as pa

        import rowlock as rl
        from rowlock.training.column_inputs import gaps_in

        table, target = self.table_and_target()
        if self.lacking.any():
            if self.lacking.all():
                raise ConfigError(f"no row of {self.table} has a value in {self.target}")
            table = table.filter(pa.array(~self.lacking))
        inputs = self.inputs(augment=augment, standardize=standardize, cache=cache)
        dataset = rl.Dataset(table, inputs, target, key=self.key, missing=missing)
        if "columns" in inputs and gaps_in(self.frame, self.column_names):
            (dataset,) = dataset.fit_statistics()
        return dataset


def takes_data(function: Function) -> Function:
    """Decorate a command whose first parameter is a `DataOptions`: its fields become arguments and options.

    ::

        @examples("rowlock look animals.parquet --image imgpath -o sheet.png")
        @takes_data
        def look(data: DataOptions, rows: Annotated[int, typer.Option(help="Pictures.")] = 24) -> None:
    """
    _, *others = inspect.signature(function, eval_str=True).parameters.values()
    names = [field.name for field in fields(DataOptions)]

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        data = DataOptions(**{name: given.pop(name) for name in names})
        return function(data, **given)

    parameters = [_parameter(name) for name in names] + [_keyword_only(other) for other in others]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__
    return typing.cast("Function", command)


def _parameter(name: str) -> inspect.Parameter:
    field = next(field for field in fields(DataOptions) if field.name == name)
    kind = typing.get_type_hints(DataOptions, include_extras=True)[name]
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _keyword_only(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
