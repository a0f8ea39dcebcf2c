"""What each input adds: the models of the ablation side by side, and what shuffling costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rowlock.reporting.courses import compared
from rowlock.reporting.markup import Raw, number, paragraph, section, table
from rowlock.reporting.numbers import chance, wilson
from rowlock.reporting.opening import metric_name, metric_value
from rowlock.training.listener import BETTER

if TYPE_CHECKING:
    from rowlock.reporting.findings import Findings
    from rowlock.training.explain import Importance

__all__ = ["branches"]

_BESIDE: Final = {"accuracy": "log_loss", "f1_macro": "log_loss", "r2": "mae"}
"""What stands beside the main metric of a task."""

_MOST_COLUMNS: Final = 12


def branches(found: Findings) -> str:
    """Return the sections of ablation and importance, as far as there are any."""
    return (
        section("ablation", "What each input adds", _ablation(found))
        + section("importance", "What the model looks at", _importance(found))
    )  # fmt: skip


def _ablation(found: Findings) -> str:
    told = (found.kept.metrics or {}).get("ablation")
    if told is None:
        return ""
    main = told["metric"]
    rows = [_model(found, title, one["metrics"]) for title, one in told["models"].items()]
    beside = "95 %" if main == "accuracy" else metric_name(_BESIDE[main])
    header = ("model", metric_name(main), beside, BETTER)
    inside = table(header, [_model(found, "merged", found.metrics), *rows]) + _adds(found, told)
    drawn = compared(found)
    return f'<div class="side"><div>{inside}</div><div>{drawn}</div></div>' if drawn else inside


def _model(found: Findings, title: str, metrics: dict[str, Any]) -> tuple[Any, ...]:
    main = found.kept.metrics["main"] if found.kept.metrics else ""
    own, value = found.metrics.get(main), metrics.get(main)
    is_merged = metrics is found.metrics or title == "merged"
    if main == "accuracy" and value is not None:
        low, high = wilson(round(value * metrics["rows"]), metrics["rows"])
        beside = f"{low:.3f} to {high:.3f}"
    else:
        beside = metric_value(_BESIDE[main], metrics.get(_BESIDE[main]))
    better = "" if is_merged or own is None or value is None else f"{own - value:+.3f}"
    return Raw("<b>merged</b>") if is_merged else title, metric_value(main, value), beside, better


def _adds(found: Findings, told: dict[str, Any]) -> str:
    """Say what each input adds, and what of it may be chance."""
    texts = [f"{name} adds {number(value, '+.3f')} to what the others know" for name, value in told["adds"].items()]
    main, rows = told["metric"], found.metrics["rows"]
    text = f"{'; '.join(texts)}. Every model has the same rows, split and seed."
    if main == "accuracy":
        text += f" Of {rows:,} rows, differences below {chance(found.metrics[main], rows):.2f} may be chance."
    else:
        text += f" Measured on {rows:,} rows; a small difference may be chance."
    return paragraph(text)


def _importance(found: Findings) -> str:
    told = found.explanation
    if told is None:
        return ""
    shown = [*told.inputs, *told.columns[:_MOST_COLUMNS]]
    most = max((one.drop for one in shown), default=0.0)
    header = ("input", "column", f"drop of {metric_name(told.metric)}", "spread", "loss rises by")
    text = (
        f"{metric_name(told.metric)} is {told.value:.3f} on {told.num_rows:,} rows. A line says what is lost when one"
        f" input, or one of its columns, comes from other rows: mean and deviation of {told.repeats} permutations. What"
        " drops nothing is not needed by this model: it tells nothing, or another input tells the same."
    )
    if len(told.columns) > _MOST_COLUMNS:
        text += f" Of the columns the first {_MOST_COLUMNS} are shown; rowlock report --json has {len(told.columns)}."
    return table(header, [_line(one, most) for one in shown], words=2) + paragraph(text, "caption")


def _line(one: Importance, most: float) -> tuple[Any, ...]:
    share = max(0.0, one.drop / most) if most > 0 else 0.0
    drop = Raw(f'<span class="share" style="--share:{share:.3f}">{one.drop:+.4f}</span>')
    what: Any = Raw("<b>all\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}it</b>") if one.column is None else one.column
    return one.input, what, drop, f"{one.spread:.4f}", f"{one.loss_rise:+.4f}"
