"""How fast a data set can be read on this machine, and what takes the time."""

from rowlock.benching.report import Bench, Reference, Run
from rowlock.benching.run import bench

__all__ = ["Bench", "Reference", "Run", "bench"]
