"""The settings.toml that `vipsync init` writes. PURE: a pipeline's descriptor in, text out.

What has to be filled in stands as `name = ""`: `settings.parse` names each one that is still empty.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator, Mapping

import tomli_w

from vipsync.model import PORTAL, Descriptor, Parameter, ParameterType, Scalar

Value = Scalar | list[Scalar]

WIDTH = 90
"""Columns at which comments wrap."""

_HEAD = (
    "The settings of this session. Lines that begin with # are comments: vipsync does not read "
    "them. To use one that is a setting, remove its #. Ask `vipsync check` whether all is well."
)
_UNNAMED = (
    '# session_name = "my-study"       # its name on VIP; without this, that of the folder',
)
_VALUES = """
Values of the pipeline's parameters. A file is given as
  "name.txt"                     a file inside inputs/; for a folder, end with a /
  "/vip/…/name.txt"              a file that is already on VIP
  "signals/*.mrui"               a pattern: one case for each file that matches
  "**/*.mrui"                    the same, in whatever folder of inputs/ the file lies
  ["a.mrui", "b.mrui"]           a list: one case for each
  "{subject}/T1.nii.gz"          one case per subject; {subject} is the same text in every line
  { zip = "{subject}/dicom/" }   a folder, packed before it is sent
  { zip = "./", as = "all.zip" } all of inputs/, packed under this name
A case is one run of the pipeline. Where several parameters vary, each combination is a case;
where the pipeline pairs them (it is said there), the first goes with the first, and so on.
"""
_TYPES = {
    ParameterType.FILE: "a file",
    ParameterType.STRING: "text",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.INTEGER: "a whole number",
    ParameterType.DOUBLE: "a number",
    ParameterType.LIST: "text",
}
_QUOTED = (ParameterType.FILE, ParameterType.STRING, ParameterType.LIST)
"""Types whose values stand in quotes."""
# Headings are live and keys are comments: a key whose # is removed is then always in its section.
_OTHERS = """
[inputs]
# directory = "inputs"           # may point elsewhere, e.g. at a scanner's export folder
# ignore = ["*.log"]             # names that are never sent
# ready = "{subject}/.done"      # wait for this file before a case starts; it is not sent

[launch]
# when = "manual"                # start a case only when you call `vipsync launch`
# confirm_above = 500            # more jobs than this at once wait for `vipsync launch`

[privacy]
# accept = { PatientName = ["sub-*"] }   # in headers, such values are pseudonyms, not names
# allow = { InstitutionName = "ethics 2026-12" }   # a field that may be sent, and why

[outputs]
# unzip = false                  # leave archives (.tgz and the like) packed

[finish]
# after = "download"             # remove the data on VIP as soon as every result is here
"""


def settings_text(
    descriptor: Descriptor | None,
    session_name: str,
    portal: str = PORTAL,
    values: Mapping[str, Value] | None = None,
) -> str:
    """Return a settings.toml for this pipeline, with what to fill in and why; None: no pipeline yet.

    Without `session_name`, that of the folder serves. `values` are those of parameters that are known.
    """
    lines = [
        *_comment(_HEAD),
        "",
        *_pipeline(descriptor),
        *([_line("session_name", session_name)] if session_name else _UNNAMED),
        *([_line("portal", portal)] if portal != PORTAL else []),
        "",
        "[input_settings]",
        *(f"# {line}" for line in _VALUES.strip().split("\n")),
        *(_parameters(descriptor, values or {}) if descriptor else ()),
    ]
    return "\n".join(lines) + "\n" + _OTHERS


def to_fill_in(descriptor: Descriptor) -> list[Parameter]:
    """List the parameters that stand empty in the text and need a value."""
    return [p for p in shown_parameters(descriptor) if p.required and not _value(p, descriptor)]


def _pipeline(descriptor: Descriptor | None) -> Iterator[str]:
    if descriptor is None:
        yield f"# {_line('pipeline_id', 'CQUEST/0.6')}   # without it, files are only uploaded"
    else:
        yield from _comment(without_html(descriptor.description))
        yield _line("pipeline_id", descriptor.pipeline_id)


def _parameters(descriptor: Descriptor, values: Mapping[str, Value]) -> Iterator[str]:
    shown = shown_parameters(descriptor)
    for heading, required in (("Needed", True), ("Optional", False)):
        chosen = [p for p in shown if p.required is required]
        if chosen:
            yield from ("", f"# --- {heading} ---")
        for parameter in chosen:
            yield ""
            yield from _parameter(parameter, descriptor, values)


def shown_parameters(descriptor: Descriptor) -> list[Parameter]:
    """Leave out what VIP fills in itself, and a second parameter of the same name."""
    by_name = {p.name: p for p in reversed(descriptor.parameters)}
    return [
        p
        for p in descriptor.parameters
        if by_name[p.name] is p and p.name not in descriptor.overridden
    ]


def _parameter(
    parameter: Parameter, descriptor: Descriptor, values: Mapping[str, Value]
) -> Iterator[str]:
    words = (parameter.label.strip(), without_html(parameter.description).strip())
    yield from _comment(": ".join(word for word in words if word))
    known = values.get(parameter.name)
    value = _value(parameter, descriptor) if known is None else known
    yield from _comment(". ".join(_facts(parameter, descriptor, value)) + ".")
    line = _line(parameter.name, value)
    yield line if parameter.required or known is not None else f"# {line}"


def _value(parameter: Parameter, descriptor: Descriptor) -> Scalar:
    """Return the default, every file where only one parameter needs files, else nothing yet."""
    if parameter.default is not None:
        return parameter.default
    files = [p for p in shown_parameters(descriptor) if p.required and p.takes_files]
    return "*" if files == [parameter] else ""


def _facts(parameter: Parameter, descriptor: Descriptor, value: Value) -> Iterator[str]:
    need = "Needed" if parameter.required else "Optional"
    empty = value == "" and parameter.value_type not in _QUOTED
    quotes = ", in place of the quotes" if empty else ""
    yield f"{need}: {_TYPES[parameter.value_type]}{quotes}{bounds(parameter)}"
    if parameter.choices:
        yield f"One of {', '.join(_toml(choice) for choice in parameter.choices)}"
    if parameter.name in descriptor.dot:
        others = sorted(descriptor.dot - {parameter.name})
        yield f"Paired by index with: {', '.join(others)}" if others else "Paired by index"
    if patterns := descriptor.directory_patterns.get(parameter.name):
        yield f"A folder stands for the files {', '.join(patterns)} in it"
    if parameter.name in descriptor.int_iterators:
        yield "The number N makes N jobs"


def bounds(parameter: Parameter) -> str:
    """Return the bounds of a number as the end of a sentence, empty where it has none."""
    low, high = parameter.minimum, parameter.maximum
    parts = []
    if low is not None:
        parts.append(f"{'above' if parameter.exclusive_minimum else 'at least'} {low:g}")
    if high is not None:
        parts.append(f"{'below' if parameter.exclusive_maximum else 'at most'} {high:g}")
    return f", {' and '.join(parts)}" if parts else ""


def _line(key: str, value: Value) -> str:
    return tomli_w.dumps({key: value}).rstrip("\n")


def _toml(value: Scalar) -> str:
    return _line("x", value).removeprefix("x = ")


def _comment(text: str) -> list[str]:
    """Wrap text as comment lines; nothing in it can end the comment or move the cursor."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.wrap(
        " ".join(plain.split()),
        WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def without_html(text: str) -> str:
    """Turn the HTML that some descriptions hold into plain text, links into addresses."""
    marked = html.unescape(text)
    linked = re.sub(r'<a\s[^>]*?href="([^"]*)"[^>]*>([^<]*)</a>', r"\2 (\1)", marked)
    return re.sub(r"</?[A-Za-z][^>]*>", " ", linked)
