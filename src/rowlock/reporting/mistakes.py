"""The rows that a model got most wrong, and those that cannot be read: each with what a person needs to judge it."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

import rowlock as rl
from rowlock.looking.facts import facts_of, ranges_of
from rowlock.remote.permission import is_url
from rowlock.training.spec import columns_as_stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.looking.facts import RowFacts
    from rowlock.reporting.tested import Tested

__all__ = ["Mistake", "Unreadable", "unreadable", "worst"]

_TILE: Final = 208
_QUALITY: Final = 82
_MOST_UNREADABLE: Final = 50
_SIGNED: Final = re.compile(r"\?.*(?:signature|sig|token|credential|key)=.*$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Mistake:
    """A row, what is true of it, and what the model said.

    Attributes
    ----------
    key : str
    true, predicted : str
    said : tuple of (word, text, is_wrong)
        The same for a card: what it is, what was said; of labels those that are missed, and those said wrongly.
    note : str
        How sure the model was, or how far off.
    loss : float
        By which mistakes are ranked.
    paths : tuple of str
        Of its pictures, as the table has them.
    links : tuple of str
        Where a browser finds them; empty text where it cannot.
    pictures : tuple of bytes
        JPEG, whole, at most 208 pixels high and wide.
    series : dict of str to (array, limits)
        Its features and the range to draw them in.
    values : tuple of str
        A few numbers, in words.
    columns : tuple of (name, true, predicted)
        Of several quantities, each one by itself; else empty.
    """

    key: str
    true: str
    predicted: str
    said: tuple[tuple[str, str, bool], ...]
    note: str
    loss: float
    paths: tuple[str, ...]
    links: tuple[str, ...]
    pictures: tuple[bytes, ...]
    series: Mapping[str, tuple[AnyArray, tuple[float, float]]]
    values: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read, and why."""

    key: str
    part: str
    path: str
    reason: str


def worst(tested: Tested, most: int) -> tuple[list[Mistake], int]:
    """Return the worst mistakes, worst first, and how many there are in all."""
    wrong = _wrong_rows(tested)
    chosen = wrong[:most]
    data = _dataset(tested)
    try:
        facts = [facts_of(data, int(row), None) for row in chosen]
    finally:
        data.close()
    ranges = ranges_of(facts)
    losses = tested.losses
    return [_mistake(tested, int(row), one, ranges, losses) for row, one in zip(chosen, facts, strict=True)], len(wrong)


def unreadable(tested: Tested) -> list[Unreadable]:
    """Return the rows of the part that could not be read: the first fifty, with reasons."""
    rows = np.flatnonzero(~tested.known)[:_MOST_UNREADABLE]
    if not len(rows):
        return []
    data = rl.Dataset(tested.table, tested.spec.rl_inputs(), key=tested.spec.key)
    try:
        facts = [facts_of(data, int(row), None) for row in rows]
    finally:
        data.close()
    return [
        Unreadable(one.key, tested.part, ", ".join(_paths(tested, int(row))), one.fault)
        for row, one in zip(rows, facts, strict=True)
    ]


def _wrong_rows(tested: Tested) -> Int64Array:
    """Return the rows that are wrong, worst first; a quantity is never exactly right."""
    truth, predicted, task = tested.truth, tested.predicted, tested.spec.target.task
    if task == "classes":
        wrong = predicted.argmax(axis=1) != truth
    elif task == "labels":
        wrong = ((predicted > 0.5) != (truth > 0)).any(axis=1)
    else:
        wrong = np.ones(len(truth), np.bool_)
    rows = np.flatnonzero(wrong & tested.known)
    return rows[np.argsort(-tested.losses[rows], kind="stable")]


def _dataset(tested: Tested) -> rl.Dataset:
    """Return the rows for looking at: whole pictures, features as they are stored."""
    inputs: dict[str, Any] = {}
    for name, told in tested.spec.inputs.items():
        if told["kind"] == "images":
            remote = rl.Remote(*told["remote"]) if told["remote"] else None
            inputs[name] = rl.Images(
                told["column"], size=(_TILE, _TILE), resize="pad", root=told["root"], remote=remote
            )
        elif told["kind"] == "features":
            inputs[name] = rl.Features(told["store"], key=told["join"])
        else:
            inputs[name] = columns_as_stored(told)
    return rl.Dataset(tested.table, inputs, key=tested.spec.key)


def _mistake(
    tested: Tested, row: int, facts: RowFacts, ranges: Mapping[str, tuple[float, float]], losses: AnyArray
) -> Mistake:
    true, predicted, note = said_of(tested, row)
    said = (("is", true, False), ("said", predicted, True))
    whole = _whole_paths(tested, row)
    return Mistake(
        facts.key, true, predicted, _wrong_labels(tested, row) or said, note, float(losses[row]), _paths(tested, row),
        tuple(link_of(path, root) for path, root in zip(whole, _roots(tested), strict=True)),
        tuple(jpeg_of(pixels) for pixels in facts.pictures),
        {name: (values, ranges[name]) for name, values in facts.series.items() if name in ranges},
        tuple(facts.values), _columns(tested, row),
    )  # fmt: skip


def said_of(tested: Tested, row: int) -> tuple[str, str, str]:
    """Return in words what is true, what the model said, and how wrong that is."""
    target, truth, predicted = tested.spec.target, tested.truth[row], tested.predicted[row]
    if target.task == "classes":
        answer = int(predicted.argmax())
        note = f"{predicted[answer]:.0%} sure; {predicted[int(truth)]:.1%} for {target.classes[int(truth)]}"
        return str(target.classes[int(truth)]), str(target.classes[answer]), note
    if target.task == "labels":
        wrong = np.flatnonzero((predicted > 0.5) != (truth > 0))
        note = ", ".join(f"{target.classes[place]} {predicted[place]:.0%}" for place in wrong)
        return _labels(target.classes, truth > 0), _labels(target.classes, predicted > 0.5), note
    off = predicted - truth
    several = len(target.columns) > 1
    texts = [
        ", ".join(f"{name} {value:{form}}" if several else f"{value:{form}}"
                  for name, value in zip(target.columns, values, strict=True))
        for values, form in ((truth, ".4g"), (predicted, ".4g"), (off, "+.4g"))
    ]  # fmt: skip
    return texts[0], texts[1], f"off by {texts[2]}"


def _wrong_labels(tested: Tested, row: int) -> tuple[tuple[str, str, bool], ...]:
    """Return which labels were missed, and which were said wrongly; nothing of other tasks."""
    if tested.spec.target.task != "labels":
        return ()
    is_so, is_said, names = tested.truth[row] > 0, tested.predicted[row] > 0.5, tested.spec.target.classes
    told = {"missed": is_so & ~is_said, "wrongly said": is_said & ~is_so, "right": is_so & is_said}
    return tuple((word, _labels(names, chosen), word != "right") for word, chosen in told.items() if chosen.any())


def _columns(tested: Tested, row: int) -> tuple[tuple[str, str, str], ...]:
    names = tested.spec.target.columns
    if tested.spec.target.task != "quantity" or len(names) == 1:
        return ()
    pairs = zip(names, tested.truth[row], tested.predicted[row], strict=True)
    return tuple((name, f"{true:.4g}", f"{said:.4g}") for name, true, said in pairs)


def _labels(labels: Sequence[Any], chosen: AnyArray) -> str:
    return ", ".join(str(label) for label, one in zip(labels, chosen, strict=True) if one) or "none"


def _images(tested: Tested) -> list[Mapping[str, Any]]:
    return [told for told in tested.spec.inputs.values() if told["kind"] == "images"]


def _roots(tested: Tested) -> list[str | None]:
    return [told["root"] for told in _images(tested)]


def _paths(tested: Tested, row: int) -> tuple[str, ...]:
    return tuple(without_secret(path) for path in _whole_paths(tested, row))


def _whole_paths(tested: Tested, row: int) -> tuple[str, ...]:
    return tuple(os.fsdecode(tested.table.column(told["column"])[row].as_py()) for told in _images(tested))


def link_of(path: str, root: str | None) -> str:
    """Return what a browser opens a picture by: a file's or a web server's address; of buckets nothing."""
    if not is_url(os.fsencode(path)) and root is not None:
        path = f"{root.rstrip('/')}/{path}" if is_url(os.fsencode(root)) else str(Path(root) / path)
    if not is_url(os.fsencode(path)):
        return Path(path).absolute().as_uri()
    return path if path.lower().startswith(("http://", "https://")) and path == without_secret(path) else ""


def without_secret(path: str) -> str:
    """Return a path as a page that is passed on may tell it: a signed URL without what opens it."""
    return _SIGNED.sub("?...", path) if is_url(os.fsencode(path)) else path


def jpeg_of(pixels: AnyArray) -> bytes:
    """Return a picture for the page, without the black borders that padding has added."""
    rows = np.flatnonzero(pixels.any(axis=(1, 2)))
    columns = np.flatnonzero(pixels.any(axis=(0, 2)))
    if len(rows) and len(columns):
        pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
