"""A data set in which neither pictures nor features decide, and three models that show it.

Foxes and cats: a third of the pictures hides what tells them apart, another third of the growth curves is
like either. The data is made by `rowlock.demo.data`, the models by `rowlock.demo.models`; `run` is all of it.
"""

from rowlock.demo.report import DemoResult, run

__all__ = ["DemoResult", "run"]
