"""The feature store: rows on disk, read in any order, each one checked."""

from rowlock.store.feature_store import FeatureStore
from rowlock.store.statistics import ColumnStatistics, ColumnTotals
from rowlock.store.writer import StoreWriter

__all__ = ["ColumnStatistics", "ColumnTotals", "FeatureStore", "StoreWriter"]
