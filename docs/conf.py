"""Sphinx configuration."""

import sklearn_meta

project = "sklearn_meta"
author = "The sklearn_meta developers"
copyright = f"2026, {author}"
version = release = sklearn_meta.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Learning to learn, as a scikit-learn estimator"}
