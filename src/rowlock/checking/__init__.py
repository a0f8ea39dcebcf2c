"""What is wrong with a data set, found before a training run finds it; one check a file."""

from rowlock.checking.report import Example, Finding, Report
from rowlock.checking.run import check_datasets, check_parts

__all__ = ["Example", "Finding", "Report", "check_datasets", "check_parts"]
