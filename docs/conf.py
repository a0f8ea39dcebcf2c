"""How the manual is made: `make docs`."""

import rowlock

project = "Rowlock"
author = "the Rowlock developers"
version = release = rowlock.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = "Rowlock"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_copyright = False  # the licence says it
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True  # attributes, parameters and what is returned are no targets and no links: words of their
napoleon_use_param = False  # types, such as "path" or "shape", would lead to whatever has that name
napoleon_use_rtype = False
nitpicky = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
