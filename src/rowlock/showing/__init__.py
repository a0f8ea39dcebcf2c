"""What notebooks show of the large objects: tables instead of a line."""

from rowlock.showing.dataset import dataset_html
from rowlock.showing.loader import loader_html
from rowlock.showing.store import store_html

__all__ = ["dataset_html", "loader_html", "store_html"]
