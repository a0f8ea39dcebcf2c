"""A merged model as a picture: branches as columns, their share of what is joined, the head below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rowlock.errors import ConfigError, MissingDependencyError
from rowlock.keras.graph import BranchFacts, HeadFacts, MergedGraph, Step, graph_of
from rowlock.keras.summaries import shape_text

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["draw"]

# Okabe and Ito (2008), told apart with every kind of colour vision.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F")
_COLUMN, _GAP = 2.7, 0.35  # inches: width of a branch, and between two
_BOX, _STEP = 0.46, 0.68  # height of a box, and from one to the next
_JOIN, _FUNNEL, _LINKS, _TO_HEAD, _MARGIN = 0.5, 0.75, 1.0, 0.55, 0.35
_TITLE = 0.62
_MOST_LEVELS = 9
_INK, _PALE = "#222222", "#666666"
_LETTER = 0.1  # inches, of a name in the bar


def draw(model: Any, path: str | os.PathLike[str], *, dpi: int = 150) -> Path:
    """Draw a merged model: a column a branch, from input to joined columns, and the heads.

    Each box is a layer with the shape of what it gives and its parameters, or a whole backbone; grey boxes are
    frozen. The bar of joined columns shows how many come from each branch.

    Parameters
    ----------
    model : keras.Model
        Made by `merge`, or loaded again.
    path : str or path
        Where the picture goes; its suffix says what it is, such as ``.png``, ``.svg`` or ``.pdf``.
    dpi : int
        Pixels an inch.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    ConfigError
        The model was not made by `merge`, or matplotlib does not know the suffix.
    MissingDependencyError
        matplotlib is not installed.
    """
    graph = graph_of(model)
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, needed here alone
    except ModuleNotFoundError as error:
        raise MissingDependencyError("drawing needs matplotlib: pip install 'rowlock[plot]'") from error
    target = Path(path)
    width, height = _size(graph)
    figure = Figure(figsize=(width, height), dpi=dpi)
    if target.suffix.lstrip(".").lower() not in figure.canvas.get_supported_filetypes():
        known = ", ".join(sorted(figure.canvas.get_supported_filetypes()))
        raise ConfigError(f"a picture called {target.name!r} has no format that matplotlib draws: {known}")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    _draw_graph(axes, graph, width)
    figure.savefig(target, facecolor="white")
    return target


def _size(graph: MergedGraph) -> tuple[float, float]:
    columns = max(2, len(graph.branches), len(graph.heads))
    width = 2 * _MARGIN + columns * _COLUMN + (columns - 1) * _GAP
    below = max(len(_shown(head.steps)) for head in graph.heads) + 1
    above = max(len(_levels(branch)) for branch in graph.branches)
    return width, _TITLE + 2 * _MARGIN + (above + below) * _STEP - 2 * (_STEP - _BOX) + _LINKS + _JOIN + _TO_HEAD


def _draw_graph(axes: Any, graph: MergedGraph, width: float) -> None:
    fixed = graph.num_parameters - graph.num_trained
    told = f"{graph.num_parameters:,} parameters, {graph.num_trained:,} trained" + (f", {fixed:,} not" if fixed else "")
    axes.text(_MARGIN, _MARGIN + 0.1, graph.name, fontsize=15, fontweight="bold", color=_INK, va="center")
    axes.text(width - _MARGIN, _MARGIN + 0.1, told, fontsize=9.5, color=_PALE, va="center", ha="right")
    top = _MARGIN + _TITLE
    join_top = top + max(len(_levels(branch)) for branch in graph.branches) * _STEP - (_STEP - _BOX) + _LINKS
    segments = _segments(graph, width)
    for place, branch in enumerate(graph.branches):
        colour = _COLOURS[place % len(_COLOURS)]
        left = _left(place, len(graph.branches), width)
        end = _draw_branch(axes, branch, left, top, colour)
        _draw_link(axes, (left + _COLUMN / 2, end), segments[place], join_top, colour)
        told = f"{branch.width:,} column{'s' if branch.width > 1 else ''}"
        at = (left + _COLUMN / 2 + 0.1, join_top - _FUNNEL - 0.1)
        axes.text(*at, told, fontsize=8, color=colour, va="center", fontweight="bold", zorder=4)
        if graph.join == "concatenated":
            _draw_segment(axes, branch, segments[place], join_top, colour)
    _draw_join(axes, graph, width, join_top)
    for place, head in enumerate(graph.heads):
        _draw_head(axes, head, _left(place, len(graph.heads), width), join_top + _JOIN)


def _left(place: int, count: int, width: float) -> float:
    """Return where a column begins; all of them stand in the middle."""
    return width / 2 - (count * _COLUMN + (count - 1) * _GAP) / 2 + place * (_COLUMN + _GAP)


def _segments(graph: MergedGraph, width: float) -> list[tuple[float, float]]:
    """Return from where to where each branch's columns lie in the bar; those of a sum come from straight above."""
    left, whole = _MARGIN, width - 2 * _MARGIN
    if graph.join == "summed":
        middles = [_left(place, len(graph.branches), width) + _COLUMN / 2 for place in range(len(graph.branches))]
        return [(middle - 0.3, middle + 0.3) for middle in middles]
    least = 0.06  # inches, so that one column of two thousand can be seen
    sizes = [max(least, whole * branch.width / graph.width) for branch in graph.branches]
    scale = whole / sum(sizes)
    segments = []
    for size in sizes:
        segments.append((left, left + size * scale))
        left += size * scale
    return segments


Level = tuple[str, str, str]
"""What a box says: two lines, and whether it is an input, a layer, or one that is frozen."""


def _levels(branch: BranchFacts) -> list[Level]:
    inputs = [(source.name, f"{shape_text(source.shape)} {source.dtype}", "input") for source in branch.sources]
    if not branch.steps:
        return [*inputs, ("straight through", "", "note")]
    if branch.shares_with is not None:
        told = f"{branch.num_parameters:,} parameters" if branch.num_parameters else ""
        return [*inputs, (f"the weights of {branch.shares_with}", told, "note")]
    return [*inputs, *_shown(branch.steps)]


def _shown(steps: Sequence[Step]) -> list[Level]:
    levels = [(step.label, _facts(step), "frozen" if step.is_frozen else "layer") for step in steps]
    if len(levels) <= _MOST_LEVELS:
        return levels
    half = _MOST_LEVELS // 2
    return [*levels[:half], (f"{len(levels) - 2 * half} more layers", "", "note"), *levels[-half:]]


def _facts(step: Step) -> str:
    facts = [
        shape_text(step.shape),
        f"{step.num_layers} layers" if step.num_layers else "",
        f"{step.num_parameters:,} parameters" if step.num_parameters else "",
        "frozen" if step.is_frozen else "",
    ]
    return " · ".join(filter(None, facts))


def _draw_branch(axes: Any, branch: BranchFacts, left: float, top: float, colour: str) -> float:
    """Draw a column of boxes, joined by lines, and return where it ends."""
    levels = _levels(branch)
    for place, level in enumerate(levels):
        y = top + place * _STEP
        if place:
            axes.plot([left + _COLUMN / 2] * 2, [y - (_STEP - _BOX), y], color=colour, linewidth=1.4, zorder=1)
        _draw_box(axes, left, y, level, colour)
    return top + (len(levels) - 1) * _STEP + _BOX


def _draw_box(axes: Any, left: float, y: float, level: Level, colour: str) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 - an extra

    title, facts, kind = level
    face = {"input": colour, "layer": "white", "frozen": "#E9E9E9", "note": "white"}[kind]
    rounded = f"round,pad=0,rounding_size={0.2 if kind == 'input' else 0.06}"
    style: dict[str, Any] = {"linestyle": (0, (3, 2))} if kind == "note" else {}
    look: dict[str, Any] = {"boxstyle": rounded, "facecolor": face, "edgecolor": colour, "linewidth": 1.2, "zorder": 2}
    axes.add_patch(FancyBboxPatch((left, y), _COLUMN, _BOX, **look, **style))
    ink, pale = ("white", "white") if kind == "input" else (_INK, _PALE)
    middle, weight = left + _COLUMN / 2, "bold" if kind == "input" else "normal"
    at = y + (_BOX * 0.34 if facts else _BOX / 2)
    axes.text(
        middle, at, _fitting(title, 34), fontsize=9, color=ink, ha="center", va="center", fontweight=weight, zorder=4
    )
    axes.text(middle, y + _BOX * 0.72, _fitting(facts, 52), fontsize=7, color=pale, ha="center", va="center", zorder=4)


def _fitting(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _draw_link(axes: Any, start: tuple[float, float], segment: tuple[float, float], y: float, colour: str) -> None:
    """Draw what widens or narrows from the branch's end to its columns in the bar."""
    from matplotlib.patches import PathPatch  # noqa: PLC0415 - an extra
    from matplotlib.path import Path as Curve  # noqa: PLC0415 - an extra

    x, top = start
    half = min(0.3, (segment[1] - segment[0]) / 2)
    bottom = max(y - _FUNNEL, top)
    axes.plot([x, x], [top, bottom], color=colour, linewidth=1.4, zorder=1)
    middle = (bottom + y) / 2
    points = [
        (x - half, bottom), (x - half, middle), (segment[0], middle), (segment[0], y),
        (segment[1], y), (segment[1], middle), (x + half, middle), (x + half, bottom), (x - half, bottom),
    ]  # fmt: skip
    codes = [Curve.MOVETO, *[Curve.CURVE4] * 3, Curve.LINETO, *[Curve.CURVE4] * 3, Curve.CLOSEPOLY]
    axes.add_patch(PathPatch(Curve(points, codes), facecolor=colour, alpha=0.22, edgecolor="none", zorder=0))


def _draw_segment(axes: Any, branch: BranchFacts, segment: tuple[float, float], y: float, colour: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - an extra

    left, right = segment
    axes.add_patch(Rectangle((left, y), right - left, _JOIN, facecolor=colour, edgecolor="white", zorder=2))
    if len(branch.name) * _LETTER < right - left:
        style: dict[str, Any] = {
            "fontsize": 9.5,
            "color": "white",
            "ha": "center",
            "va": "center",
            "fontweight": "bold",
            "zorder": 3,
        }
        axes.text((left + right) / 2, y + _JOIN / 2, branch.name, **style)


def _draw_join(axes: Any, graph: MergedGraph, width: float, y: float) -> None:
    """Say how many columns there are; a sum has a bar of its own, in no branch's colour."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - an extra

    if graph.join == "summed":
        axes.add_patch(Rectangle((_MARGIN, y), width - 2 * _MARGIN, _JOIN, facecolor="#444444", zorder=3))
        style: dict[str, Any] = {
            "fontsize": 9.5,
            "color": "white",
            "ha": "center",
            "va": "center",
            "fontweight": "bold",
            "zorder": 4,
        }
        axes.text(width / 2, y + _JOIN / 2, f"summed: {graph.width:,} columns", **style)
    else:
        told = f"{graph.width:,} columns, side by side"
        axes.text(_MARGIN, y + _JOIN + 0.16, told, fontsize=8.5, color=_PALE, va="center")


def _draw_head(axes: Any, head: HeadFacts, left: float, y: float) -> None:
    top = y + _TO_HEAD
    middle = left + _COLUMN / 2
    axes.plot([middle, middle], [y, top], color=_INK, linewidth=1.4, zorder=1)
    levels = [*_shown(head.steps), (head.target or "prediction", shape_text(head.shape), "input")]
    for place, level in enumerate(levels):
        at = top + place * _STEP
        if place:
            axes.plot([middle, middle], [at - (_STEP - _BOX), at], color=_INK, linewidth=1.4, zorder=1)
        _draw_box(axes, left, at, level, _INK)
