"""A loader: its order, how far it is, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.showing.tables import facts_table, html_table, titled

if TYPE_CHECKING:
    from rowlock.loader import Loader

__all__ = ["loader_html"]


def loader_html(loader: Loader) -> str:
    """Return what it delivers, and once it ran, at what cost."""
    plan, stats = loader.plan, loader.stats()
    facts: list[tuple[str, object]] = [
        ("rows", f"{len(loader.dataset):,}, in batches of {plan.batch_size:,}: {len(loader):,} steps an epoch"),
        ("order", f"shuffled anew each epoch, seed {plan.seed}" if plan.shuffle else "that of the dataset"),
        ("last batch", plan.last),
        ("bad rows", f"{loader.on_error}; {len(loader.bad_rows):,} so far"),
    ]
    if plan.world_size > 1:
        facts.append(("rank", f"{plan.rank} of {plan.world_size}"))
    if not stats.num_batches:
        return titled("Loader", facts_table(facts))
    facts += [
        ("delivered", f"{stats.num_rows:,} rows in {stats.num_batches:,} batches"),
        ("rate", f"{stats.rows_per_second:,.0f} rows/s; the consumer waited {stats.wait_share:.0%} of the time"),
        ("advice", stats.advice),
    ]
    costs = [(name, *(f"{spent:.2f} s" for spent in cost.stages.values())) for name, cost in stats.inputs.items()]
    return titled(
        "Loader", facts_table(facts), html_table(("thread time", "read", "decode", "transform", "gather"), costs)
    )
