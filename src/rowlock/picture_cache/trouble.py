"""Trouble with a cache is told once of each kind: training goes on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Trouble"]

_log = logging.getLogger(__name__)


class Trouble:
    """Warns about a folder.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: set[str] = set()

    def tell(self, kind: str, text: str) -> None:
        """Log a warning, if it is the first of its kind."""
        if kind not in self._told:
            self._told.add(kind)
            _log.warning("cache %s: %s.", self._folder, text)
