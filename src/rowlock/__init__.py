"""Rowlock: train merged models on data larger than memory, straight from a DataFrame."""

from importlib import import_module
from types import ModuleType

from rowlock import errors
from rowlock.batch import Batch
from rowlock.dataset import Dataset
from rowlock.engine import Engine
from rowlock.errors import RowlockError
from rowlock.hashing import hash_pictures
from rowlock.inputs import (
    Categories,
    Column,
    Columns,
    Features,
    Images,
    ImagesMask,
    Input,
    Labels,
    Reader,
    Tokens,
    TokensMask,
)
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
    "Categories",
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
    "Tokens",
    "TokensMask",
    "errors",
    "hash_pictures",
    "pack",
]

_ADAPTERS = ("jax", "keras", "ray", "torch")


def __getattr__(name: str) -> ModuleType:
    """Import an adapter, and its framework, when it is first asked for: ``rl.keras.fit``."""
    if name in _ADAPTERS:
        return import_module(f"rowlock.{name}")
    raise AttributeError(f"module 'rowlock' has no attribute {name!r}")
