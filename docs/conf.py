"""Sphinx's settings: python -m sphinx -W --keep-going docs docs/_build/html."""

import logging
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import skpadim
from skpadim._doc_link import SITE

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "skpadim"
copyright = "the skpadim developers"
version = release = skpadim.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.graphviz",
    "sphinx.ext.intersphinx",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "house",
]
exclude_patterns = [
    "_build",
    *("gallery/**/*.ipynb", "gallery/**/*.py", "gallery/**/*.json"),
    "results/two_categories/*.md",  # included by a page
]
graphviz_output_format = "svg"
templates_path = ["_templates"]
default_role = "literal"
nitpicky = True
# Quotes and dashes as they are typed: the links to parameters in an estimator's HTML representation
# look for the text of its docstring.
smartquotes = False

html_theme = "pydata_sphinx_theme"
html_title = "skpadim"
html_baseurl = SITE
html_static_path = ["_static"]
html_context = {"default_mode": "auto"}
html_css_files = ["skpadim.css"]
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], "comparison": []},
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {"index": [], "tutorial": [], "reference/index": []}
html_show_sourcelink = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the docstrings tell more
autosummary_generate = True
numpydoc_show_class_members = False  # the templates list them

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("skpadim",),
    "reference_url": {"skpadim": None},
    "capture_repr": ("_repr_html_",),
    "download_all_examples": False,
    "parallel": 2,  # drawing parts and figures takes one core each
    "show_memory": False,
    "write_computation_times": False,
}

intersphinx_mapping = {
    "joblib": ("https://joblib.readthedocs.io/en/stable/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "python": ("https://docs.python.org/3/", None),
    "scipy": ("https://docs.scipy.org/doc/scipy/", None),
    "sklearn": ("https://scikit-learn.org/stable/", None),
}
intersphinx_timeout = 5
# Names of other projects stay plain text where their inventories cannot be had.
nitpick_ignore_regex = [(r"py:.*", rf"({'|'.join(intersphinx_mapping)})\..*")]


def _is_no_network_failure(record: logging.LogRecord) -> bool:
    # The one warning that a build without network may give has no type to be suppressed by.
    return not str(record.msg).startswith("failed to reach any of the inventories")


logging.getLogger("sphinx.sphinx.ext.intersphinx").addFilter(_is_no_network_failure)


# Equations as MathML, which browsers show by themselves: pages are read without network or script.
def _visit_math(translator, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _visit_math_block(translator, node: nodes.math_block) -> None:
    equation = tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div class="equation">{equation}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer of equations."""
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math_block, None))
