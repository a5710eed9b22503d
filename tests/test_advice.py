"""Where packing a folder would save time, and which line would use a file."""

from __future__ import annotations

import pytest

from vipsync.cases.advice import PackingAdvice, line_for, packing_advice
from vipsync.model import (
    Case,
    Descriptor,
    InputFile,
    InputFolder,
    InputValue,
    PackedFolder,
    PackKind,
    Parameter,
    ParameterType,
    RelPath,
    Settings,
)

PATTERN = "{subject}/dicom/"


def members(subject: int, count: int) -> tuple[RelPath, ...]:
    return tuple(RelPath(f"{subject}/dicom/{number}.dcm") for number in range(count))


def advice(
    description: str,
    files: int = 200,
    *,
    known: bool = False,
    text: str | tuple[str, ...] = PATTERN,
    packed: bool = False,
) -> list[PackingAdvice]:
    """Return what is advised for three subjects with a folder of files each."""

    def value(subject: int) -> InputValue:
        folder, inside = RelPath(f"{subject}/dicom"), members(subject, files)
        kind = PackKind.ZIP
        return PackedFolder(folder, kind, inside) if packed else InputFolder(folder, inside)

    parameter = Parameter("dicom", ParameterType.FILE, description=description)
    cases = [Case(str(subject), {"dicom": value(subject)}) for subject in range(3)]
    to_send = {path for subject in range(3) for path in members(subject, files)}
    settings = Settings("study", input_settings={"dicom": text})
    descriptor = Descriptor("tool/1", "tool", "1", parameters=(parameter,))
    return list(packing_advice(cases, set() if known else to_send, settings, descriptor))


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("A zip file of the series", "zip"),
        ("Archive with all DICOM files", "zip"),
        ("The series as .tar.gz", "tgz"),
        ("The series as one tar", "tar"),
    ],
)
def test_many_files_for_a_parameter_that_takes_an_archive(description: str, kind: str) -> None:
    """It says how many files, how many archives, and the line that packs them."""
    setting = f'dicom = {{ {kind} = "{PATTERN}" }}'
    assert advice(description) == [PackingAdvice("dicom", setting, 600, 3)]


def test_nothing_is_advised_that_does_not_help() -> None:
    """Few files, files that are on VIP already, folders that are packed, a tool that takes a folder."""
    assert advice("A zip file", files=20) == []
    assert advice("A zip file", known=True) == []
    assert advice("A zip file", packed=True) == []
    assert advice("A folder of DICOM files, also of a target") == []
    assert advice("A zip file", text=(PATTERN, "more/")) == []


@pytest.mark.parametrize(
    ("used", "unused", "line"),
    [
        ((), ("day2/a.mrui", "day2/b.mrui"), 'signal = "day2/*.mrui"'),
        (("a.mrui",), ("day2/b.mrui",), 'signal = "**/*.mrui"'),
        (("day1/a.mrui", "day1/b.mrui"), ("day2/deep/b.mrui",), 'signal = "**/*.mrui"'),
        (("a.mrui",), ("day2/b.txt",), ""),
    ],
)
def test_a_line_for_unused_files_uses_the_others_too(
    used: tuple[str, ...], unused: tuple[str, ...], line: str
) -> None:
    """Who writes it loses no case: else the other files would be the unused ones."""
    cases = [Case(path, {"signal": InputFile(RelPath(path))}) for path in used]
    settings = Settings("study", input_settings={"signal": "*.mrui"})
    assert line_for([RelPath(path) for path in unused], settings, cases) == line
