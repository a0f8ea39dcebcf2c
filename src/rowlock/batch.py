"""What a loader delivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["Batch"]


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """The arrays of a batch; all of them belong to the same rows, in the same order.

    A batch owns its arrays: nothing of it is ever written again by Rowlock, however long it is kept.

    Attributes
    ----------
    inputs : dict of str to array, shape (n, ...)
        One array an input, under its name.
    target : array, shape (n, ...), or dict of them, or None
    sample_weight : float32, shape (n,), or None
        Weight of each row in loss and metrics; None where every row weighs 1.
    keys : int64 or object (str), shape (n,)
        Identity of each row: the key column, else the frame's integer index, else the row number.
    rows : int64, shape (n,)
        Rows of the dataset that the loader was made from.
    step : int
        Number of the batch within the run.
    epoch : int
        The epoch it belongs to.
    """

    inputs: dict[str, AnyArray]
    target: AnyArray | dict[str, AnyArray] | None
    sample_weight: AnyArray | None
    keys: AnyArray
    rows: Int64Array
    step: int
    epoch: int

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in self.inputs.items())
        return f"Batch(epoch {self.epoch}, step {self.step}, {len(self)} rows: {inputs})"
