"""Words of the messages about a design: short lists, near misses, quoted pieces of what a user wrote."""

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 10
_LONGEST = 60


def listed(names: Iterable[str], limit: int = _SHOWN) -> str:
    """`names` with commas between them; those beyond `limit` are counted."""
    every = list(names)
    rest = len(every) - limit
    return ", ".join(every[:limit]) + (f" and {rest} more" if rest > 0 else "")


def quoted(text: str, limit: int = _LONGEST) -> str:
    """`text` in quotes on one line, cut after `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def repeated(names: Iterable[str]) -> list[str]:
    """Those that appear more than once, in the order of their first appearance."""
    return [name for name, count in Counter(names).items() if count > 1]


def known_names(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name: the nearest of those that are known, then all of them, shortened."""
    every = list(dict.fromkeys(known))
    near = get_close_matches(name[:_LONGEST], every, n=1)
    return (f"did you mean {quoted(near[0])}? " if near else "") + f"known: {listed(every, 15)}"
