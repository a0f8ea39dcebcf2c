"""The inputs of a dataset: pictures, features, columns."""

from rowlock.inputs.base import Draw, Input, Reader
from rowlock.inputs.columns import Column, Columns, Labels
from rowlock.inputs.features import Features
from rowlock.inputs.images import Images

__all__ = ["Column", "Columns", "Draw", "Features", "Images", "Input", "Labels", "Reader"]
