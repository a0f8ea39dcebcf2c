"""A contact sheet: what a model gets, for the eye."""

from rowlock.looking.sheet import Sheet, look

__all__ = ["Sheet", "look"]
