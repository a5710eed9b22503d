"""Boutiques descriptors, and how the API shows them (facts 4)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from vipsync.local.options import User
from vipsync.local.refusals import (
    INVALID_PIPELINE_IDENTIFIER,
    PIPELINE_NOT_ALLOWED,
    PIPELINE_NOT_FOUND,
    refused,
)

SHIPPED = Path(str(files("vipsync.local"))) / "pipelines"
_TOP_LISTS = (
    "output-files",
    "environment-variables",
    "groups",
    "tests",
    "error-codes",
    "online-platform-urls",
)
_INPUT_LISTS = ("value-choices", "requires-inputs", "disables-inputs")
_OUTPUT_LISTS = (
    "path-template-stripped-extensions",
    "conditional-path-template",
    "file-template",
)
_IMAGE_LISTS = ("container-opts",)
_TWICE = ("directoryInputs", "intIteratorInputs")
"""What the server tells under its own name beside the one in the descriptor."""
_BARE_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TOP_KEYS = frozenset(_TOP_LISTS) | frozenset(
    [
        "name",
        "tool-version",
        "description",
        "author",
        "command-line",
        "container-image",
        "schema-version",
        "inputs",
        "deprecated-by-doi",
        "descriptor-url",
        "doi",
        "invocation-schema",
        "online-platform-urls",
        "shell",
        "suggested-resources",
        "tags",
        "tool-doi",
        "url",
        "custom",
    ]
)


@dataclass(frozen=True)
class Pipeline:
    """One version of an application, as its Boutiques descriptor says it; its tool may lie in folder."""

    descriptor: Mapping[str, Any]
    folder: Path | None = None

    @property
    def identifier(self) -> str:
        """Return `name/version`."""
        return f"{self.descriptor['name']}/{self.descriptor['tool-version']}"

    @cached_property
    def inputs(self) -> dict[str, Mapping[str, Any]]:
        """Return the descriptor's inputs by id, hidden ones too."""
        return {entry["id"]: entry for entry in self.descriptor["inputs"]}

    @cached_property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """Return the descriptor's output files by id."""
        return {entry["id"]: entry for entry in self.descriptor.get("output-files", ())}

    @property
    def overridden(self) -> Mapping[str, str]:
        """Return hidden inputs, each with the input whose value it takes."""
        return dict(self.custom("overriddenInputs", {}))

    def custom(self, key: str, default: Any) -> Any:
        """Return what the descriptor says under `custom`, `vip:<key>`."""
        return (self.descriptor.get("custom") or {}).get(f"vip:{key}", default)

    def is_file(self, name: str) -> bool:
        """Say whether an input of that name is a File."""
        return bool(self.inputs.get(name, {}).get("type") == "File")

    def summary(self) -> dict[str, object]:
        """Return what the list of pipelines shows."""
        return self._as_json(self.identifier, None, [])

    def details(self, asked: str) -> dict[str, object]:
        """Return what the route of one pipeline shows."""
        shown = [entry for name, entry in self.inputs.items() if name not in self.overridden]
        parameters = [_parameter(entry) for entry in shown]
        return self._as_json(asked, self.descriptor.get("description"), parameters)

    def reserialised(self) -> dict[str, object]:
        """Return the descriptor as the server gives it back: known keys, with empty lists added."""
        known = {key: value for key, value in self.descriptor.items() if key in _TOP_KEYS}
        inputs = [_with_lists(_in_doubles(entry), _INPUT_LISTS) for entry in self.inputs.values()]
        outputs = [_with_lists(entry, _OUTPUT_LISTS) for entry in self.outputs.values()]
        known |= {"inputs": inputs, "output-files": outputs}
        if custom := known.get("custom"):
            known["custom"] = custom | {
                key: custom[f"vip:{key}"] for key in _TWICE if f"vip:{key}" in custom
            }
        if image := known.get("container-image"):
            known["container-image"] = _with_lists(image, _IMAGE_LISTS)
        return _with_lists(known, _TOP_LISTS)

    def _as_json(
        self, identifier: str, description: str | None, parameters: list[dict[str, object]]
    ) -> dict[str, object]:
        return {
            "identifier": identifier,
            "name": self.descriptor["name"],
            "description": description,
            "version": self.descriptor["tool-version"],
            "parameters": parameters,
            "canExecute": True,
        }


class Catalogue:
    """The pipelines that are here, and which groups have them: all of them where nothing is said."""

    def __init__(
        self, pipelines: Iterable[Pipeline], rights: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        self._pipelines: dict[str, Pipeline] = {}
        for pipeline in pipelines:
            self._pipelines[_collated(pipeline.identifier)] = pipeline
        self._rights = None if rights is None else _by_pipeline(rights)

    @classmethod
    def read(
        cls, folders: Iterable[Path], rights: Mapping[str, Iterable[str]] | None = None
    ) -> Catalogue:
        """Read every descriptor of some folders, later ones win; raises ValueError for a bad one."""
        found = [file for folder in folders for file in sorted(folder.glob("*.json"))]
        return cls((_read(file) for file in found), rights)

    def add(self, descriptor: Mapping[str, Any]) -> Pipeline:
        """Add or replace a pipeline."""
        pipeline = Pipeline(descriptor)
        self._pipelines[_collated(pipeline.identifier)] = pipeline
        return pipeline

    def public(self) -> list[Pipeline]:
        """Return what anybody may know of, by identifier."""
        visible = [p for name, p in self._pipelines.items() if self._is_visible(name)]
        return sorted(visible, key=lambda pipeline: pipeline.identifier)

    def usable(self, user: User) -> list[Pipeline]:
        """Return what a user may run, by identifier."""
        return [p for p in self.public() if self._may_use(user, _collated(p.identifier))]

    def get(self, identifier: str, user: User) -> Pipeline:
        """Return a pipeline; raises 8005 without a slash, 8007 for an unknown or hidden one, 8008.

        Identifiers are compared as VIP's database compares them.
        """
        if "/" not in identifier:
            raise refused(INVALID_PIPELINE_IDENTIFIER, identifier)
        name = _collated(identifier)
        if name not in self._pipelines:
            raise refused(PIPELINE_NOT_FOUND, identifier)
        pipeline = self._pipelines[name]
        if not self._is_visible(name):
            raise refused(PIPELINE_NOT_FOUND, pipeline.identifier)
        if not self._may_use(user, name):
            raise refused(PIPELINE_NOT_ALLOWED, pipeline.identifier)
        return pipeline

    def undescribed(self) -> list[str]:
        """Return the pipelines that groups have and no descriptor describes."""
        named = {} if self._rights is None else self._rights
        return sorted(named.keys() - self._pipelines.keys())

    def _is_visible(self, name: str) -> bool:
        return self._rights is None or name in self._rights

    def _may_use(self, user: User, name: str) -> bool:
        return self._rights is None or not self._rights[name].isdisjoint(user.groups)


def _by_pipeline(rights: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Return the groups of each pipeline."""
    owners: dict[str, set[str]] = {}
    for group, identifiers in rights.items():
        for identifier in identifiers:
            owners.setdefault(_collated(identifier), set()).add(group)
    return owners


def _collated(identifier: str) -> str:
    """Return an id without what the database does not tell apart: case, accents, spaces at an end."""
    letters = unicodedata.normalize("NFKD", identifier)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
    return "/".join(part.rstrip(" ") for part in plain.split("/"))


def decoded_again(identifier: str) -> str:
    """Return an id from a URL as VIP reads it: decoded once more, `+` being a space (facts 4).

    Raises 500/8000 for a `%` that begins no escape.
    """
    if _BARE_ESCAPE.search(identifier):
        raise refused(status=500)
    return unquote_plus(identifier)


def _read(file: Path) -> Pipeline:
    try:
        descriptor = json.loads(file.read_text(encoding="utf-8"))
        pipeline = Pipeline(descriptor, file.resolve().parent)
        _ = pipeline.identifier, pipeline.inputs, descriptor["command-line"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: not a Boutiques descriptor ({error!r}); mend or move it"
        ) from error
    return pipeline


def _parameter(entry: Mapping[str, Any]) -> dict[str, object]:
    return {
        "name": entry["id"],
        "type": _type(entry),
        "defaultValue": entry.get("default-value"),
        "description": entry.get("description"),
        "isOptional": bool(entry.get("optional", False)),
        "isReturnedValue": False,
    }


def _type(entry: Mapping[str, Any]) -> str:
    if entry.get("list"):
        return "List"
    if entry["type"] == "Number":
        return "Int64" if entry.get("integer") else "Double"
    return "Boolean" if entry["type"] == "Flag" else str(entry["type"])


def _in_doubles(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input with its bounds as Java's doubles: 0 becomes 0.0."""
    bounds = {key: float(entry[key]) for key in ("minimum", "maximum") if key in entry}
    return {**entry, **bounds}


def _with_lists(entry: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {**entry, **{key: entry.get(key) or [] for key in keys}}
