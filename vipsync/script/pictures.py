"""The pictures of a session's results, for a notebook: nothing in them acts, whatever they hold."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from mimetypes import guess_type
from pathlib import Path

from vipsync.disk.walk import printable
from vipsync.names import last
from vipsync.plan.snapshot import Snapshot
from vipsync.results.descriptions import Descriptions
from vipsync.results.facts import facts_of
from vipsync.results.html import Html, element
from vipsync.results.page import PICTURES

SHOWN = 24
LARGEST = 3_000_000
"""Bytes above which a picture is not put into a notebook, which keeps all that it shows."""


def pictures(snapshot: Snapshot, outputs: Path, kept: Path) -> Iterator[tuple[str, Path]]:
    """Yield each picture of the results, and of each volume, with the path of what it shows."""
    descriptions = Descriptions(outputs, kept)
    for shown in facts_of(snapshot).shown:
        for piece in shown.pieces:
            found = descriptions.of(piece)
            if found:
                pictured = (f for f in found.files if f.path.lower().endswith(PICTURES))
                yield from ((f.path, outputs / f.path) for f in pictured if f.size <= LARGEST)
                yield from ((volume, kept / name) for volume, name in found.mosaics)


def in_notebook() -> bool:
    """Tell whether this runs in a notebook, which shows pictures."""
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython(), "kernel") if ipython else False


def display(found: Iterable[tuple[str, Path]]) -> None:
    """Show the first pictures in the notebook. An SVG is shown as a picture: nothing in it runs."""
    from IPython.display import HTML
    from IPython.display import display as show

    figures = [_figure(path, place) for path, place in islice(found, SHOWN)]
    style = "display:flex;flex-wrap:wrap;gap:1em"
    show(HTML(element("div", *figures, style=style)))  # type: ignore[no-untyped-call]


def _figure(path: str, place: Path) -> Html:
    kind = guess_type(place.name)[0] or "image/png"
    content = base64.b64encode(place.read_bytes()).decode()
    image = element(
        "img",
        src=f"data:{kind};base64,{content}",
        alt=last(path),
        style="background:#fff;max-width:24em",
    )
    caption = element("figcaption", printable(path))
    return element("figure", image, caption, style="margin:0")
