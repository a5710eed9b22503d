"""What a site's own tool has made of a study, held against the study: whoever it was must not be in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vipsync.privacy.findings import Layer
from vipsync.privacy.identifiers import Identifier, identifiers
from vipsync.privacy.inspecting import inspect


def still_named(study: Sequence[tuple[str, Path]], made: Path) -> str:
    """Return which fields of a study are still in what was made of it, "" where none is.

    Tools leave private fields, comments and names of files as they are, and say that all is well.
    """
    persons = dict[Identifier, None]()
    for name, path in study:
        persons.update(dict.fromkeys(identifiers(inspect(path, name))))
    left = Counter[str]()
    for path in sorted(p for p in made.rglob("*") if p.is_file()):
        found = inspect(path, path.relative_to(made).as_posix(), known=tuple(persons))
        left.update({f.field for f in found.findings if f.layer is Layer.CROSS})
    return "; ".join(f"{field} in {number} files" for field, number in sorted(left.items()))
