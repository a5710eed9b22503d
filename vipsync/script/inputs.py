"""What a script gives as `input_settings`: what it means on this machine, and what VIP gets.

A path is kept as it was written and as it leads from the working folder of that moment, so that a
working folder which changes later changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath

from msgspec import Struct

from vipsync.cases.values import ON_VIP, text_of
from vipsync.errors import PropertyTypeError, VipsyncError
from vipsync.model import Descriptor, RelPath, Scalar, VipPath
from vipsync.names import relpath, vip_relpath

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""How a value starts that names a file on another platform, as `girder:`; one letter is a disk."""

_VERSION = re.compile(r"_v[0-9]+/")
_VALUES = "Give a text, a number, a path, or a list of them."


class LocalText(Struct, frozen=True):
    """A text that may be a path on this machine; `is_path` where the script said so by its type."""

    text: str
    full: str
    is_path: bool = False


Item = Scalar | LocalText | None
"""None says that a value is still to come: a session keeps it, and nothing is launched with it."""

Given = Mapping[str, Item | tuple[Item, ...]]


def given_settings(settings: object) -> Given:
    """Take in what a script gives; raise PropertyTypeError where it is no such thing."""
    if not isinstance(settings, Mapping):
        raise PropertyTypeError("`input_settings` should be a dictionary.")
    return {_name(name): _value(str(name), value) for name, value in settings.items()}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise PropertyTypeError(f"input_settings: the parameter {name!r} should be a string.")
    return name


def _value(name: str, value: object) -> Item | tuple[Item, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(_item(name, item) for item in value)
    return _item(name, value)


def _item(name: str, value: object) -> Item:
    """Return one value; anything that is neither a number nor a path goes by its text."""
    if isinstance(value, (list, tuple, dict, set, bytes)):
        kind = type(value).__name__
        raise PropertyTypeError(
            f"input_settings: {name}: {kind} is no value for a parameter.", _VALUES
        )
    if value is None or isinstance(value, (bool, int, float)):
        return value
    is_path = isinstance(value, os.PathLike)
    text = os.fsdecode(value) if isinstance(value, os.PathLike) else str(value)
    if text.startswith(ON_VIP) or _ELSEWHERE.match(text):
        return text
    return LocalText(text, os.path.abspath(text), is_path)  # noqa: PTH100 (links stay as they are)


class Place(Struct, frozen=True):
    """A file of the data set: where it is on this machine, and its path below it, `.` for all of it."""

    full: str
    rel: RelPath


def _relative(text: str) -> RelPath:
    return RelPath(text) if text == "." else relpath(text)


class Dataset(Struct, frozen=True):
    """The data set of a session: where it is here and on VIP.

    `places` says where a file went that is not at its own place there, by its path below `vip`:
    nothing on VIP is ever replaced, so other content lies elsewhere.
    """

    local: Path | None
    vip: VipPath
    places: Mapping[str, VipPath] = {}

    def place(self, item: LocalText) -> Place | None:
        """Return which file of the data set is meant, None where it lies elsewhere.

        A path object that is relative leads from the working folder, or else from the data set on,
        as with vip-client.
        """
        here, below = self._below(item.full), self._from_here_on(item)
        if here and (below is None or os.path.exists(here.full) or not os.path.exists(below.full)):  # noqa: PTH110
            return here
        return below

    def _from_here_on(self, item: LocalText) -> Place | None:
        """Return the file that a relative path object names below the data set."""
        if not item.is_path or os.path.isabs(item.text):  # noqa: PTH117 (a text, not a Path)
            return None
        if self.local is not None:
            return self._below(os.path.abspath(self.local / item.text))  # noqa: PTH100
        text = PurePath(os.path.normpath(item.text)).as_posix()
        return None if text.split("/")[0] == ".." else Place("", _relative(text))

    def _below(self, path: str) -> Place | None:
        """Return a file by its path below the local data set, followed through links where it must be."""
        if self.local is None:
            return None
        for full, root in ((path, self.local), (os.path.realpath(path), self.local.resolve())):
            with suppress(ValueError):
                return Place(path, _relative(Path(full).relative_to(root).as_posix()))
        return None

    def on_vip(self, rel: RelPath) -> VipPath:
        """Return where a file is on VIP, or will be."""
        if rel == ".":
            return self.vip
        name = vip_relpath(rel)
        return self.places.get(name) or VipPath(f"{self.vip}/{name}")

    def holds(self, path: str) -> bool:
        """Tell whether a path on VIP lies in the data set."""
        return bool(self.vip) and (path == self.vip or path.startswith(f"{self.vip}/"))

    def newest(self, path: str) -> str:
        """Return where the file of the data set is now that was at `path` on VIP."""
        if not self.holds(path):
            return path
        name = _VERSION.sub("", path.removeprefix(f"{self.vip}/"), count=1)
        return self.places.get(name, path)


def takes_files(name: str, descriptor: Descriptor | None) -> bool | None:
    """Tell whether a parameter takes files; None where nobody knows."""
    parameter = descriptor.parameter(name) if descriptor else None
    return parameter.takes_files if parameter else None


def items(given: Given) -> Iterator[tuple[str, Item]]:
    """Return every single value with the name of its parameter."""
    for name, value in given.items():
        for item in value if isinstance(value, tuple) else (value,):
            yield name, item


def shown(given: Given, data: Dataset, descriptor: Descriptor | None) -> dict[str, object]:
    """Return the settings as `input_settings` and the backup show them: paths as they are on VIP."""
    return {
        name: [_shown(name, item, data, descriptor) for item in value]
        if isinstance(value, tuple)
        else _shown(name, value, data, descriptor)
        for name, value in given.items()
    }


def _shown(name: str, item: Item, data: Dataset, descriptor: Descriptor | None) -> Scalar | None:
    if not isinstance(item, LocalText):
        return data.newest(item) if isinstance(item, str) else item
    rel = path_in(name, item, data, descriptor)
    try:
        return data.on_vip(rel) if rel and data.vip else item.text
    except VipsyncError:
        return item.text


def path_in(
    name: str, item: LocalText, data: Dataset, descriptor: Descriptor | None
) -> RelPath | None:
    """Return which file of the data set a text names, None where it is no path or lies elsewhere.

    Where the pipeline is not known, a text is a path if there is something at its end.
    """
    files = takes_files(name, descriptor)
    if files is None:
        files = item.is_path or os.path.lexists(item.full)
    place = data.place(item) if files else None
    return place.rel if place else None


def launched(
    given: Given, data: Dataset, descriptor: Descriptor | None
) -> dict[str, tuple[str, ...]]:
    """Return the texts that VIP gets; a parameter with several starts several jobs."""
    return {
        name: tuple(map(text_of, value if isinstance(value, list) else [value]))
        for name, value in shown(given, data, descriptor).items()
        if isinstance(value, (str, int, float, list))
    }
