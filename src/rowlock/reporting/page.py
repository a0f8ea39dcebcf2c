"""The page: one file, without scripts, and without anything that a network would have to bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rowlock as rl
from rowlock.reporting.branches import branches
from rowlock.reporting.cards import cards
from rowlock.reporting.courses import courses
from rowlock.reporting.markup import markup
from rowlock.reporting.opening import opening
from rowlock.reporting.quantities import quantities
from rowlock.reporting.scores import scores
from rowlock.reporting.style import STYLE
from rowlock.reporting.trained import trained

if TYPE_CHECKING:
    from rowlock.reporting.findings import Findings

__all__ = ["page_of"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Told to browsers, so that nothing is ever fetched, whatever the data say."""


def page_of(found: Findings) -> str:
    """Return the report as HTML."""
    parts = [courses(found), scores(found), quantities(found), branches(found), cards(found), trained(found)]
    title = f"{found.kept.target}: {found.kept.folder.path.name or found.kept.folder.path}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{markup(title)}</title><style>{STYLE}</style></head>\n<body><main>{opening(found)}"
        f"{''.join(parts)}<footer>Made by rowlock {markup(rl.__version__)} of the run in"
        f" {markup(found.kept.folder.path.absolute())}.</footer></main></body></html>\n"
    )
