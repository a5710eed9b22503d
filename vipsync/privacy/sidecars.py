"""What stands beside images: JSON, and tables of participants (TSV, CSV)."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from itertools import zip_longest

from vipsync.privacy import dicom
from vipsync.privacy.content import Content, NotUnderstood
from vipsync.privacy.findings import Finding, Layer
from vipsync.privacy.meanings import meaning
from vipsync.privacy.reading import EVERYTHING, Reading
from vipsync.privacy.texts import decoded, text

_MOST = 1 << 24
_MOST_JSON = 1 << 22  # in memory it takes thirty times as much
_SIMPLE = re.compile(r'"([^"\n]*)"\s*:\s*"([^"\n]*)"')
_MOST_SEARCHED = 200
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_TITLE = re.compile(r"[^\W\d][\w()/-]*( [\w()/-]+){0,2}")
_FIRST_ROWS = 5
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PERSON = {
    "name": "PatientName",
    "first": "PatientName",
    "last": "PatientName",
    "id": "participant_id",
}
_OF_PEOPLE = re.compile(
    r"(participant|subject|patient)(_?id)?|sex|gender|age|dob|birth.*|handedness"
)
_LABEL = re.compile(r"(sub-)?[A-Za-z0-9]{0,4}\d{1,6}|sub-\w+|n/?a", re.IGNORECASE)


def recognise_json(content: Content) -> bool:
    """Return whether the content begins as a JSON object or list of such does."""
    head = text(content.at(0, 256))
    return re.match(r'\{\s*("|\}|$)|\[\s*\{', head) is not None


def read_json(content: Content, reading: Reading) -> None:
    """Write down each filled field at every depth."""
    reading.format = reading.format or "JSON"
    said = _whole(content, _MOST_JSON).strip("\0 \r\n\t")
    try:
        _walk(json.loads(said, object_pairs_hook=_Pairs), reading)
    except (ValueError, RecursionError):
        for found in _SIMPLE.finditer(said):
            reading.named(found[1], found[2])
        raise NotUnderstood("the JSON is damaged") from None
    finally:
        reading.own += _places(content.at(0, _MOST_JSON), reading.findings)


class _Pairs(list[tuple[str, object]]):
    """An object of JSON, where a name may stand twice."""


def _walk(node: object, reading: Reading) -> None:
    left: list[tuple[str, object]] = [("", node)]
    while left:
        name, value = left.pop()
        if isinstance(value, _Pairs):
            if _TAG.fullmatch(name):
                dicom.require_pydicom(reading)
                value = _of_tag(name, value)
            left += [(_inner(name, part), inner) for part, inner in value]
        elif isinstance(value, list):
            left += [(name, inner) for inner in value]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            reading.named(name, str(value))


def _inner(outer: str, name: str) -> str:
    """Return the name of a field within another one: a person's name may have parts."""
    found = meaning(outer)
    return outer if found and found[0] is Layer.FIELD and not meaning(name) else name


def _of_tag(tag: str, node: _Pairs) -> _Pairs:
    """Return an element of DICOM's JSON model under the standard's word for it."""
    word = dicom.keyword(int(tag, 16))
    if ("vr", "PN") in node and not meaning(word):
        word = "PatientName"
    return _Pairs(
        (word if name in ("Value", "InlineBinary") else name, value) for name, value in node
    )


def recognise_table(content: Content) -> bool:
    """Return whether the content is a table whose first line names columns."""
    return _sign(content) is not None


def _sign(content: Content) -> str | None:
    """Return what stands between the columns; None where the first line does not name them."""
    raw = content.at(0, 1 << 14)
    rows = decoded(raw).splitlines() if b"\0" not in raw or raw[:2] in _UTF_16 else []
    if rows and rows[0].strip() == "participant_id":
        return "\t"
    for sign in "\t;,":
        titles, *others = list(csv.reader(rows[:_FIRST_ROWS], delimiter=sign)) or [[]]
        alike = others and all(len(other) == len(titles) for other in others)
        if len(titles) > 1 and alike and _are_titles([t.strip() for t in titles], sign):
            return sign
    return None


def _are_titles(titles: Sequence[str], sign: str) -> bool:
    """Return whether words are names of columns: a letter has commas, and several words, too."""
    known = any(meaning(_PERSON.get(t.casefold(), t)) or t == "participant_id" for t in titles)
    return (sign == "\t" or known) and all(_TITLE.fullmatch(title) for title in titles)


def read_table(content: Content, reading: Reading) -> None:
    """Write down each filled cell of a column that names somebody."""
    reading.format = "table"
    reading.own.append((0, EVERYTHING))  # each cell was looked at
    rows = csv.reader(_whole(content, _MOST).splitlines(), delimiter=_sign(content) or "\t")
    titles = [title.strip() for title in next(rows, [])]
    if any(_OF_PEOPLE.fullmatch(title.casefold()) for title in titles):  # else "name" is anything's
        titles = [_PERSON.get(title.casefold(), title) for title in titles]
    ragged = False
    for row in filter(any, rows):
        ragged |= len(row) != len(titles)
        for title, cell in zip_longest(titles, row, fillvalue=""):
            _cell(reading, title, cell)
    if ragged:
        raise NotUnderstood("a line of the table has other columns than the first one")


def _cell(reading: Reading, title: str, cell: str) -> None:
    """Write down a cell of a column that names somebody; any other may do so all the same."""
    found = meaning(title)
    if title == "participant_id" and not _LABEL.fullmatch(cell.strip()):
        reading.add(Layer.FIELD, "PatientID", cell)
    elif found and title != "participant_id":
        reading.add(*found, cell)
    if not found or found[0] is Layer.TOLD:
        reading.others.append(cell)


def _whole(content: Content, most: int) -> str:
    raw = content.at(0, most + 1)
    if len(raw) > most:
        raise NotUnderstood(f"the text is longer than {most:,} bytes")
    return decoded(raw)


def _places(raw: bytes, findings: Sequence[Finding]) -> list[tuple[int, int]]:
    """Return as many places of each value as it was met in a field: one more is another place."""
    places = []
    named = [finding for finding in findings if finding.layer is Layer.FIELD]
    for finding in named[:_MOST_SEARCHED]:
        for spelled in {json.dumps(finding.value)[1:-1].encode(), finding.value.encode()}:
            at = 0
            for _ in range(finding.count):
                if (at := raw.find(spelled, at)) < 0:
                    break
                places.append((at, at := at + len(spelled)))
    return places
