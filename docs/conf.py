"""How the pages become a site.

python -m sphinx -W --keep-going docs docs/_build/html
"""

import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import code_pages  # noqa: E402

import mgajax  # noqa: E402

project = "mgajax"
author = "The mgajax developers"
project_copyright = f"2026 {author}"
version = release = mgajax.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Tables without a heading, which other pages link as files.
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"mgajax {release}"
html_show_sphinx = False
html_static_path = ["figures/site.css"]
html_css_files = ["site.css"]
# `--option` keeps its two dashes.
smartquotes = False

myst_heading_anchors = 4
# A single backtick in a docstring is code.
default_role = "literal"
napoleon_numpy_docstring = False
# Types stand in the signature; in a text, the `*` of a shape would begin emphasis.
napoleon_attr_annotations = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True


def setup(app: Any) -> None:
    """Write what follows from the code before Sphinx looks which pages there are."""
    app.connect("builder-inited", lambda _: code_pages.write(DOCS / "reference" / "generated"))
