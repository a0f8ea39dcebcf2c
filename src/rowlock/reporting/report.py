"""`report`: looks at a finished run, and makes a page of what it finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowlock.arguments import whole_number
from rowlock.errors import ConfigError, RowlockError
from rowlock.reporting.findings import Findings
from rowlock.reporting.kept import read_kept
from rowlock.store.disk.files import write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rowlock.reporting.mistakes import Unreadable
    from rowlock.reporting.tested import Tested
    from rowlock.training import Run

__all__ = ["Report", "report"]

MOST_MISTAKES = 500
"""More than that is a page that nobody looks at."""


class Report:
    """What came of a run; a notebook shows it.

    Attributes
    ----------
    findings : Findings
    """

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def __repr__(self) -> str:
        path = str(self.findings.kept.folder.path)
        return f"Report({path!r}: {len(self.notes)} note{'s' * (len(self.notes) != 1)})"

    def _repr_html_(self) -> str:
        from html import escape  # noqa: PLC0415 - only in notebooks

        return f'<iframe srcdoc="{escape(self.html)}" style="width:100%;height:800px;border:0"></iframe>'

    @property
    def notes(self) -> list[str]:
        """What is missing or has changed, and what to do."""
        return self.findings.notes

    @property
    def html(self) -> str:
        """The page: whole in itself, without scripts and without anything from a network."""
        from rowlock.reporting.page import page_of  # noqa: PLC0415 - not for --json

        return page_of(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        from rowlock.reporting.values import values_of  # noqa: PLC0415 - not for a page

        return values_of(self.findings)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the page beside `path` and rename it; return the path.

        Raises
        ------
        ConfigError
            There is something already, or no such folder.
        """
        target = Path(path)
        check_page(target, overwrite=overwrite)
        write_bytes(target, self.html.encode("utf-8", "backslashreplace"))
        return target


def report(
    run: str | os.PathLike[str],
    frame: Any = None,
    *,
    features: Mapping[str, str] | None = None,
    root: str | None = None,
    verify: bool | None = None,
    explain: bool = False,
    worst: int = 24,
) -> Report:
    """Look at a run: what its folder holds and, with the table, how its model does on the rows it was measured on.

    What cannot be had any more, such as pictures that have gone, is told in `Report.notes`; the rest stays.

    Parameters
    ----------
    run : path
        Folder of a training.
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ..., optional
        The table of the training: its test rows are predicted once more, for classes, curves and mistakes that the
        folder does not hold. None: only what the folder holds.
    features : dict of str to str, optional
        Where stores are now, by the input's name.
    root : str, optional
        Folder that relative paths start from, if another one.
    verify : bool, optional
        Compare every picture with its digest, a column of the table; by default as in training.
    explain : bool
        Measure too what the model looks at, as `Run.explain`.
    worst : int
        Mistakes to show.

    Returns
    -------
    Report

    Raises
    ------
    ConfigError
        There is no run.
    """
    whole_number("worst", worst, 0)
    if worst > MOST_MISTAKES:
        raise ConfigError(f"a page shows {MOST_MISTAKES} mistakes or fewer, not {worst}")
    kept = read_kept(run)
    found = Findings(kept, notes=list(kept.notes))
    if frame is not None and kept.metrics is not None and kept.spec is not None:
        _test(found, frame, dict(features or {}), root, verify=verify, explain=explain, most=worst)
    return Report(found)


def check_page(path: Path, *, overwrite: bool) -> None:
    """Refuse a place that cannot be written, before any work.

    Raises
    ------
    ConfigError
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise ConfigError(f"{path} is there already{'; --overwrite replaces it' if path.is_file() else ''}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {path.absolute().parent} to write {path.name} into")


def _test(
    found: Findings,
    frame: Any,
    features: dict[str, str],
    root: str | None,
    *,
    verify: bool | None,
    explain: bool,
    most: int,
) -> None:
    """Add what the model says of the tested rows; what fails becomes a note, and the rest is still told."""
    from rowlock.reporting.tested import test_again  # noqa: PLC0415 - a page of the folder alone needs no framework
    from rowlock.training import Run  # noqa: PLC0415 - a page of the folder alone needs no framework

    try:
        run = Run.open(found.kept.folder.path)
        found.tested = test_again(run, frame, features=features, root=root, verify=verify)
    except (RowlockError, OSError) as error:
        found.notes.append(
            f"The rows could not be predicted again, so what needs them is left out, and the numbers of the run stand"
            f" as it kept them. {type(error).__name__}: {error}"
        )
        return
    _look(found, found.tested, most)
    found.notes += _changes(found.tested, found.metrics)
    found.notes += _changed(run, found, frame, features, root)
    if explain:
        _explain(found, run, found.tested, features, root, verify=verify)


def _changed(run: Run, found: Findings, frame: Any, features: dict[str, str], root: str | None) -> list[str]:
    """Return in words what is otherwise in all rows of the table, of training as well."""
    from rowlock.reporting.changed import changes_since_training  # noqa: PLC0415 - a page of the folder alone needs none

    try:
        return changes_since_training(run, found.kept, frame, features, root)
    except (RowlockError, OSError) as error:
        return [f"Whether the training rows have changed cannot be told. {type(error).__name__}: {error}"]


def _look(found: Findings, tested: Tested, most: int) -> None:
    from rowlock.reporting.mistakes import unreadable, worst  # noqa: PLC0415 - loads Pillow

    try:
        found.mistakes, found.num_mistakes = worst(tested, most)
        found.unreadable = unreadable(tested)
        found.notes += _lost(tested, found.unreadable)
    except (RowlockError, OSError) as error:
        found.notes.append(f"The worst mistakes cannot be shown. {type(error).__name__}: {error}")


def _lost(tested: Tested, unreadable: list[Unreadable]) -> list[str]:
    """Return in words that rows cannot be read, with the first of them."""
    if not unreadable:
        return []
    first = unreadable[0]
    where = f", {first.path}" if first.path else ""
    lost = f"{int((~tested.known).sum()):,} of {len(tested.known):,} {tested.part} rows"
    return [f"{lost} cannot be read, and count nowhere here. The first: key {first.key!r}{where}: {first.reason}."]


def _explain(
    found: Findings,
    run: Run,
    tested: Tested,
    features: dict[str, str],
    root: str | None,
    *,
    verify: bool | None,
) -> None:
    import pyarrow as pa  # noqa: PLC0415 - only here

    try:
        rows = tested.table.filter(pa.array(tested.known))
        found.explanation = run.explain(rows, features=features, root=root, unknown="zeros", verify=verify)
    except (RowlockError, OSError) as error:
        found.notes.append(f"What the model looks at could not be measured. {type(error).__name__}: {error}")


def _changes(tested: Tested, metrics: dict[str, Any]) -> list[str]:
    """Return in words what is not as it was when the run ended."""
    notes = []
    if len(tested.keys) != tested.num_expected:
        notes.append(
            f"The {tested.part} part had {tested.num_expected:,} rows, and {len(tested.keys):,} of them are in the"
            " table now; curves and mistakes are of those."
        )
    differences = tested.differences(metrics)
    if differences:
        notes.append(
            f"Measured again, the numbers are others: {'; '.join(differences)}. The table, a store or pictures have"
            " changed since, or another backend computes otherwise. Metrics stay those that the run kept;"
            " curves, scores of labels and mistakes are of the data as they are now."
        )
    return notes
