"""How the manual is made: `make docs`."""

import rowlock

project = "Rowlock"
author = "the Rowlock developers"
version = release = rowlock.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = "Rowlock"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
nitpicky = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
