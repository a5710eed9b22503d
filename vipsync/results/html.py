"""A few elements of HTML, in which every text is escaped. PURE: no I/O, no clock.

The base install has no template engine, and one page of a dozen elements needs none.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote


class Html(str):
    """Text that is HTML already; made here alone."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str) -> Html:
    """Return an element; what is not Html among its children is text. `class_` is the attribute class."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(c if isinstance(c, Html) else escape(visible(c)) for c in children)
    closed = "" if name in _VOID else f"</{name}>"
    return Html(f"<{name}{told}>{inside}{closed}")


def joined(*parts: Html) -> Html:
    """Return one after the other."""
    return Html("\n".join(parts))


def address(path: str) -> str:
    """Return the relative address of a path: whatever it is called, it is below this page."""
    return f"./{quote(path, safe='/', errors='surrogateescape')}"


def visible(text: str) -> str:
    """Return text of which nothing is hidden or turns the direction of what follows."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


_VOID = frozenset({"img", "meta", "link"})
