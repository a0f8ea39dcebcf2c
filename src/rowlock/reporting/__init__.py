"""What came of a training run, as a page of its own or as plain values: ``rowlock report``.

::

    from rowlock.reporting import report

    report("merged", frame).save("report.html")
"""

from rowlock.reporting.report import Report, report

__all__ = ["Report", "report"]
