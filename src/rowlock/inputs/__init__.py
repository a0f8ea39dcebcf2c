"""The inputs of a dataset: pictures, features, columns."""

from rowlock.inputs.base import Draw, Input, Reader
from rowlock.inputs.columns import Column, Columns, Labels
from rowlock.inputs.features import Features
from rowlock.inputs.images import Images
from rowlock.inputs.images_mask import ImagesMask

__all__ = ["Column", "Columns", "Draw", "Features", "Images", "ImagesMask", "Input", "Labels", "Reader"]
