"""Which places of a row's pictures hold one: the mask beside `Images` with ``num_images=``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from rowlock.arguments import number_dtype
from rowlock.arrays import ArraySpec
from rowlock.inputs.base import Input, Reader
from rowlock.inputs.image_arguments import check_column, check_count
from rowlock.inputs.list_mask import MaskReader

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from rowlock.table import Table

__all__ = ["ImagesMask"]


class ImagesMask(Input):
    """1 where a row has a picture, 0 where it is padded, shape ``(num_images,)`` a row.

    An input of its own, since a model takes it as one: beside ``Images(column, num_images=n, ...)`` of the same
    column and number.

    Parameters
    ----------
    column : str
        Column of the table that holds lists of paths. Only their lengths count; no file is opened.
    num_images : int
        Places a row; longer lists fill all of them.
    dtype : dtype
        What the batches hold, such as ``"bool"``.

    Raises
    ------
    ConfigError
        A wrong argument; and when the dataset is made: no such column, not a column of lists, rows without a list.

    Examples
    --------
    >>> ImagesMask("photos", num_images=4)
    ImagesMask('photos', num_images=4)
    """

    def __init__(self, column: str, *, num_images: int, dtype: DTypeLike = "float32") -> None:
        check_column("ImagesMask", column)
        check_count("num_images", num_images, "pictures")
        self.column = column
        self.num_images = num_images
        self.dtype = number_dtype(f"ImagesMask({column!r})", dtype)

    def __repr__(self) -> str:
        return f"ImagesMask({self.column!r}, num_images={self.num_images})"

    @override
    def open(self, table: Table, name: str) -> Reader:
        from rowlock.pictures.path_lists import list_lengths  # noqa: PLC0415 - pyarrow is loaded when it is used

        lengths = list_lengths(table.column(self.column), self.column)
        return MaskReader(lengths, ArraySpec((self.num_images,), self.dtype))

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        return {"num_images": self.num_images}
