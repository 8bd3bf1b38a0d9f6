"""Sphinx settings of the site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = "nn.Module, the executable specification"
author = "the nnspec authors"
copyright = "2026, the nnspec authors"

extensions = ["sphinx.ext.extlinks", "sphinx_copybutton", "sphinx_design", "nnspec.site"]
exclude_patterns = ["_build", "records"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"^(?!torch).*")]

extlinks = {
    "issue": ("https://github.com/pytorch/pytorch/issues/%s", "#%s"),
    "pull": ("https://github.com/pytorch/pytorch/pull/%s", "#%s"),
}

html_theme = "pydata_sphinx_theme"
html_title = "nn.Module, the specification"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
