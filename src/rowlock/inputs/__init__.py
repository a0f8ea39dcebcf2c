"""The inputs of a dataset: pictures, features, columns, tokens."""

from rowlock.inputs.base import Draw, Input, Reader
from rowlock.inputs.categories import Categories
from rowlock.inputs.columns import Column, Columns, Labels
from rowlock.inputs.features import Features
from rowlock.inputs.images import Images
from rowlock.inputs.images_mask import ImagesMask
from rowlock.inputs.tokens import Tokens
from rowlock.inputs.tokens_mask import TokensMask

__all__ = [
    "Categories",
    "Column",
    "Columns",
    "Draw",
    "Features",
    "Images",
    "ImagesMask",
    "Input",
    "Labels",
    "Reader",
    "Tokens",
    "TokensMask",
]
