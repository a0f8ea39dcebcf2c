"""Rowlock: train merged models on data larger than memory, straight from a DataFrame."""

from rowlock import errors
from rowlock.batch import Batch
from rowlock.dataset import Dataset
from rowlock.engine import Engine
from rowlock.errors import RowlockError
from rowlock.hashing import hash_pictures
from rowlock.inputs import Column, Columns, Features, Images, ImagesMask, Input, Labels, Reader
from rowlock.loader import Loader
from rowlock.packing import pack
from rowlock.pictures.augment import Augment
from rowlock.plan import Plan
from rowlock.remote.settings import Remote
from rowlock.store import ColumnStatistics, FeatureStore

__version__ = "0.1.0"

__all__ = [
    "Augment",
    "Batch",
    "Column",
    "ColumnStatistics",
    "Columns",
    "Dataset",
    "Engine",
    "FeatureStore",
    "Features",
    "Images",
    "ImagesMask",
    "Input",
    "Labels",
    "Loader",
    "Plan",
    "Reader",
    "Remote",
    "RowlockError",
    "errors",
    "hash_pictures",
    "pack",
]
