"""The layouts by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.store import csr, packed, raw

if TYPE_CHECKING:
    from rowlock.store.layout import Layout

__all__ = ["layout_of"]

_LAYOUTS: dict[str, Layout] = {"raw": raw, "csr": csr, "packed": packed}


def layout_of(name: str) -> Layout:
    """Return the layout that a commit names."""
    return _LAYOUTS[name]
