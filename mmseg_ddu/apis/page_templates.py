"""The templates of all pages; what they are filled with is escaped."""

from pathlib import Path

import jinja2

HERE = Path(__file__).parent
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(
        [HERE / 'html_report' / 'parts', HERE / 'model_check' / 'card_parts']
    ),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
