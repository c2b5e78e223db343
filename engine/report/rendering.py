"""From a template to a page: every text escaped and without folders, figures inside."""

import base64
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from thalgpu.engine.outputs.folders import without_folders


def render(template: str, **values: object) -> str:
    """One self-contained HTML text: no scripts, no network.

    Parameters
    ----------
    template : file name in `templates`.
    values : what the template may name; text is escaped, and only names are left of absolute paths: pages are shared.
    """
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        finalize=_shared,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def data_uri(png: bytes) -> Markup:
    """A PNG file as the address of an image."""
    return Markup(f"data:image/png;base64,{base64.b64encode(png).decode()}")  # base64 has no character to escape


def _shared(value: object) -> object:
    """What may be shown of a value; markup is ours."""
    return without_folders(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _source(template: str) -> str:
    return resources.files("thalgpu.engine.report").joinpath("templates", template).read_text(encoding="utf-8")
