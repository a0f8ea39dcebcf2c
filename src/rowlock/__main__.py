"""``python -m rowlock``: the command line."""

from rowlock.cli import start

if __name__ == "__main__":
    start()
