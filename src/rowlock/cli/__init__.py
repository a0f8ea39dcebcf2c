"""The command line: ``rowlock table``, ``pack``, ``check``, ``look``, ``bench``, ``info``, ... One command a file."""

from rowlock.cli.entry import app, main, start

__all__ = ["app", "main", "start"]
