"""The feature store: rows on disk, read in any order, each one checked."""

from rowlock.store.feature_store import FeatureStore
from rowlock.store.statistics.columns import ColumnStatistics, ColumnTotals
from rowlock.store.writing.writer import StoreWriter

__all__ = ["ColumnStatistics", "ColumnTotals", "FeatureStore", "StoreWriter"]
