"""Sphinx settings of the site."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from nnspec.clauses import threads

project = "nn.Module, the executable specification"
author = "the nnspec authors"
copyright = "2026, the nnspec authors"

extensions = ["sphinx.ext.extlinks", "sphinx_copybutton", "sphinx_design", "nnspec.site"]
exclude_patterns = ["_build", "_generated", "_templates", "records"]
nitpicky = True
smartquotes = False  # a statement has the quotes that its terminal, its copy and the search have
nitpick_ignore_regex = [("py:.*", r"^(?!torch).*")]

extlinks = {role: (address, "#%s") for role, address in threads.ROLES.items()}

html_context = {
    "author": author,
    "issues": "https://github.com/nnspec/nnspec/issues",
    "source": "https://github.com/nnspec/nnspec",
    "torch_version": torch.__version__.partition("+")[0],
}
html_favicon = "_static/favicon.svg"
html_last_updated_fmt = "%Y-%m-%d"
html_theme = "pydata_sphinx_theme"
html_title = "nn.Module, the specification"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["site.css"]
html_js_files = ["copy.js"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
html_domain_indices = False
html_sidebars = {page: [] for page in ("index", "evidence", "questions", "releases", "search", "tour")}
html_theme_options = {
    "collapse_navigation": True,
    "footer_end": [],
    "footer_start": ["about"],
    "header_links_before_dropdown": 6,
    "logo": {"text": "nn.Module"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_depth": 2,
    "navigation_with_keys": False,
    "pygments_dark_style": "a11y-dark",
    "pygments_light_style": "a11y-high-contrast-light",
    "search_bar_text": "Search the clauses",
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], "releases": []},
    "show_prev_next": True,
    "show_toc_level": 1,
}
