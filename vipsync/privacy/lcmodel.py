"""LCModel: .RAW, .H2O, .control and .basis are namelists of Fortran."""

from __future__ import annotations

import re

from vipsync.privacy.content import Content
from vipsync.privacy.findings import Layer
from vipsync.privacy.reading import Reading
from vipsync.privacy.texts import text

_MOST = 1 << 24
_HEAD = re.compile(rb"\s*[$&](SEQPAR|NMID|LCMODL|BASIS1?|NMUSED|PLTRAW)\b", re.IGNORECASE)
_PAIR = re.compile(
    rb"\b([A-Za-z]\w{0,30})[ \t]{0,40}(?:\(\d+\))?[ \t]{0,40}=\s{0,40}'((?:[^']|'')*)'"
)
_NAMING = {"TITLE": "LCModelTitle", "ID": "LCModelID"}
_TOLD = {"OWNER", "SRCRAW", "SRCH2O", "SAVDIR"}


def recognise(content: Content) -> bool:
    """Return whether the content begins with one of LCModel's namelists."""
    return _HEAD.match(content.at(0, 1 << 12)) is not None


def read(content: Content, reading: Reading) -> None:
    """Write down titles and identifiers."""
    reading.format = "LCModel"
    for found in _PAIR.finditer(content.at(0, _MOST)):
        name, value = found[1].decode().upper(), text(found[2].replace(b"''", b"'"))
        if name in _NAMING:
            reading.add(Layer.FIELD, _NAMING[name], value, found.span(2))
        elif name in _TOLD or name.startswith("FIL"):
            reading.told(f"LCModel{name.capitalize()}", value)
    content.require_at_most(_MOST, "the text is")
