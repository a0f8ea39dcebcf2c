"""The command line: ``rowlock table``, ``pack``, ``check``, ``look``, ``bench``, ``info``, ... One command a file."""

from rowlock.cli.entry import app, main

__all__ = ["app", "main"]
