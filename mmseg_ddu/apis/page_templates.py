"""The templates of all pages; what they are filled with is escaped."""

from pathlib import Path
from typing import Any

import jinja2

from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.version import __version__

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


def write_page(path: Path, template: str, **content: Any) -> None:
    """Write one HTML file that needs no other file and no network."""
    html = TEMPLATES.get_template(template).render(
        version=__version__, **content
    )
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding='utf-8')
