"""What is shown of a dataset: what is wrong with it, its pictures as a model gets them, a page of a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from rowlock.checking import Report
    from rowlock.dataset import Dataset
    from rowlock.looking import Sheet

__all__ = ["DatasetViews"]


class DatasetViews:
    """Methods that are built on datasets, and stand here for convenience; each loads what it needs."""

    @property
    def _dataset(self) -> Dataset:
        return cast("Dataset", self)

    def check(self, *others: Dataset, **options: Any) -> Report:
        """Look for what is wrong with these rows, and with the `others`: ``train.check(valid, test)``.

        Missing, unreadable, repeated and odd pictures, keys, columns, labels, stores, what is on both sides of the
        split, and how fast batches can be made here; see `docs/command-line.md`.

        Parameters
        ----------
        *others : Dataset
            Other parts of a split.
        **options
            ``sample=`` (most rows whose pictures are read), ``full=True`` (verify every stored row),
            ``speed_seconds=`` (0: measure no rate), ``seed=``, ``names=`` of the parts, ``progress=``.

        Returns
        -------
        Report
            Worth printing; ``.findings``, ``.is_right`` and ``.to_dict()`` for programs. After Ctrl-C it holds what
            was found until then.
        """
        from rowlock.checking import check_datasets  # noqa: PLC0415 - above the dataset; here it is only convenient

        return check_datasets((self._dataset, *others), **options)

    def look(self, n: int = 24, rows: Any = None, *, seed: int = 0, **options: Any) -> Sheet:
        """Draw a contact sheet of pictures as a model gets them, with key, target and features.

        Parameters
        ----------
        n : int
            How many rows, drawn by chance.
        rows : integers, optional
            These rows of the dataset instead, in this order.
        seed : int
            Of the draw, and of augmentation.
        **options
            ``augment=True``; ``columns=`` (pictures side by side), ``tile=`` (pixels).

        Returns
        -------
        Sheet
            Shown in a notebook; ``.save("sheet.png")``.
        """
        from rowlock.looking import look  # noqa: PLC0415 - above the dataset; here it is only convenient

        return look(self._dataset, n, rows, seed=seed, **options)

    def _repr_html_(self) -> str:
        from rowlock.showing import dataset_html  # noqa: PLC0415 - above the dataset; here it is only convenient

        return dataset_html(self._dataset)
