"""From a template to a page: every text escaped, figures inside."""

import base64
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **values: object) -> str:
    """One self-contained HTML text: no scripts, no network.

    Parameters
    ----------
    template : file name in `templates`.
    values : what the template may name; text is escaped.
    """
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def data_uri(png: bytes) -> Markup:
    """A PNG file as the address of an image."""
    return Markup(f"data:image/png;base64,{base64.b64encode(png).decode()}")  # base64 has no character to escape


def _source(template: str) -> str:
    return resources.files("thalgpu.engine.report").joinpath("templates", template).read_text(encoding="utf-8")
