"""The documentation's site: ``make docs`` writes docs/_build/html."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / '_ext'), str(HERE.parent)]

from mmdistill.version import __version__  # noqa: E402

project = 'mmdistill'
author = 'The mmdistill authors'
copyright = author
release = version = __version__

extensions = [
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'myst_nb',
    # ours, in docs/_ext
    'docstrings',
    'method_pages',
    'reference_pages',
    'repository_links',
]
exclude_patterns = ['_build', '_ext']

html_theme = 'furo'
html_title = f'mmdistill {release}'
html_static_path = ['_static']
html_css_files = ['site.css']

myst_enable_extensions = ['colon_fence', 'deflist']
myst_heading_anchors = 3
# A notebook is run when it changes, and what it printed is kept.
nb_execution_mode = 'cache'
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = 'remove'

autodoc_member_order = 'bysource'
autodoc_inherit_docstrings = False  # torch's of forward says nothing
autodoc_typehints = 'none'  # docstrings say shapes and units
default_role = 'code'  # `Name` in a docstring
napoleon_numpy_docstring = False
napoleon_use_ivar = True
