"""What the privacy gate has looked at, in words without any value. PURE: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vipsync.plan.privacy import Gate, fields_text, files_text
from vipsync.plan.snapshot import Snapshot
from vipsync.privacy.policy import let_through
from vipsync.rows import Found

_ALWAYS = ("pixels", "faces", "the meaning of free text")


def privacy_lines(snapshot: Snapshot) -> Iterator[str]:
    """Say what was found in the files that may go, what was not looked at, and what a person lets through."""
    settings = snapshot.settings.privacy
    if settings.off:
        yield f"Nothing is looked at, by settings.toml: {settings.off}."
        return
    clear = list(Gate(snapshot).clear())
    understood = sum(not found.unknown for found in clear)
    if clear:
        filled = fields_text(one.accepted for one in clear if one.accepted)
        found = f"accepted by settings.toml: {filled}; no other field" if filled else "no field"
        looked = f"Checked {files_text(understood)}: {found} that may name a person is filled"
        checked = (
            looked
            if understood
            else "Nothing that may be sent is of a kind that can be looked into"
        )
        yield f"{checked}; {_not_checked(clear)}."
    if told := fields_text(one.told for one in clear if one.told):
        yield f"Filled, and sent all the same: {told}."
    if words := let_through(settings):
        yield f"By settings.toml: {words}."


def _not_checked(clear: Collection[Found]) -> str:
    unknown = sum(bool(found.unknown) for found in clear)
    kinds = {found.unchecked for found in clear}
    more = sorted({part for parts in kinds for part in parts} - set(_ALWAYS))
    kind = [f"{files_text(unknown)} of unknown kind"] if unknown else []
    return f"not checked: {', '.join([*_ALWAYS, *more, *kind])}"
