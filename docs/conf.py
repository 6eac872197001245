"""Sphinx configuration."""

import sys
from pathlib import Path

from matplotlib import rc_params_from_file

import sklearn_meta

HERE = Path(__file__).parent
# extensions of ours, and what the examples import, which pages import, too
sys.path[:0] = [str(HERE), str(HERE.parent / "examples")]

project = "sklearn_meta"
author = "The sklearn_meta developers"
copyright = f"2026, {author}"
version = release = sklearn_meta.__version__

extensions = [
    "_links",
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/*.py"]
templates_path = ["_templates"]

nitpicky = True
# `name` is a link where it names something of ours (_links.py), and else code: a parameter, a call
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", r"[^.]*|.*[(=].*")]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # docstrings have types and shapes
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of classes does

# Objects of others are looked up in inventories that come along, so that links are checked offline.
# From each project's documentation: objects.inv.
intersphinx_mapping = {
    name: (url, f"inventories/{name}.inv")
    for name, url in {
        "python": "https://docs.python.org/3",
        "numpy": "https://numpy.org/doc/stable",
        "scipy": "https://docs.scipy.org/doc/scipy",
        "sklearn": "https://scikit-learn.org/stable",
        "matplotlib": "https://matplotlib.org/stable",
    }.items()
}

copybutton_exclude = ".linenos, .gp, .go"  # neither prompts nor output

plot_rcparams = dict(rc_params_from_file(HERE / "pictures.mplstyle", use_default_template=False))
plot_apply_rcparams = True
plot_include_source = True
plot_template = (HERE / "_templates" / "plot.rst").read_text()  # the picture first, then its code
plot_html_show_formats = False
plot_html_show_source_link = False
plot_formats = [("png", 150)]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"^(?!plot_)",
    "within_subsection_order": "_pictures.Order",
    "thumbnail_size": (480, 336),
    "reset_modules": ("_pictures.reset_matplotlib",),
    "abort_on_example_error": True,
    "capture_repr": (),
    "doc_module": ("sklearn_meta",),
    "reference_url": {"sklearn_meta": None},
    "backreferences_dir": "reference/backreferences",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "image_srcset": ["2x"],
}

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_meta {version}"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "sklearn_meta", "alt_text": "sklearn_meta: home"},
    "navbar_start": ["navbar-logo", "navbar-version"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {"index": [], "getting_started": []}


def without_signature(app, what, name, obj, options, signature, returns):
    """A protocol is not called."""
    return ("", None) if getattr(obj, "_is_protocol", False) else None


def setup(app):
    """Register it with Sphinx."""
    app.connect("autodoc-process-signature", without_signature)
