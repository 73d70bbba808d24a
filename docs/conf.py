"""Sphinx configuration for ``make docs``, which fetches nothing from the network."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_ads import __version__

# autodoc imports Airflow, which writes its settings somewhere.
os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).parents[1] / "build" / "airflow"))

project = "airflow-provider-ads"
author = "The airflow-provider-ads developers"
project_copyright = f"{author}. Apache License 2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
# Messages and code in running text stay as they are.
smartquotes = False
html_title = f"{project} {release}"

# Headings have the anchors that they have on GitHub, so that links work there and here.
myst_heading_anchors = 3

# Members are listed by their names; the text above says where to import them from.
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}

nitpick_ignore_regex = [
    # Of other projects, whose inventories would have to be fetched.
    (r"py:.*", r"(?:airflow|boto3|botocore|typing|collections|datetime|logging|moto)\..*"),
    (r"py:.*", r"enum\.Enum|Airflow\w+|UnknownRegionError"),
]
