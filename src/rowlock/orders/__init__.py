"""Orders: which row stands at a position of an epoch. Pure functions; the plan cuts them into batches.

`Permutation` and `FrameOrder` hold nothing of the size of the data; `Balanced` and `Weighted` hold a table.
"""

from rowlock.orders.balanced import Balanced
from rowlock.orders.base import FrameOrder, Order, Permutation
from rowlock.orders.weighted import Weighted

__all__ = ["Balanced", "FrameOrder", "Order", "Permutation", "Weighted"]
