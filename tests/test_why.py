"""What is known of one file: which rule covers it, for whom it is, where it is, what comes next."""

from __future__ import annotations

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.scans import rda
from tests.lab.statuses import status
from vipsync.folder.folder import SessionFolder
from vipsync.local import Kind
from vipsync.model import RelPath
from vipsync.status.preview import preview
from vipsync.status.why import why, why_result

MORE = """
parameters = "common.txt"

[inputs]
ready = "DONE"
ignore = ["old/"]
"""


def told(study: Study, path: str, *, judges: bool = False) -> list[str]:
    """Return what is said of a file of inputs/."""
    looked = preview(SessionFolder(study.root), None, judges=judges)
    return list(why(looked, RelPath(path)).lines)


@pytest.fixture
def study(bench: Bench) -> Study:
    """Make a session that waits for the word that all is there."""
    study = bench.study(settings=f"{SETTINGS}{MORE}", a="one")
    study.write({"common.txt": "x", "notes.txt": "", "old/a.mrui": "", "b.mrui.part": ""})
    bench.run(60)
    return study


def test_before_it_is_sent(study: Study) -> None:
    """For whom it is, and what is missing."""
    assert told(study, "a.mrui") == [
        "3 bytes.",
        "Case a.mrui (signal): waiting: waits for DONE.",
    ]


def test_after_it_was_sent(bench: Bench, study: Study) -> None:
    """Where it is and since when; where it is no longer, once VIP was emptied."""
    study.write({"DONE": ""})
    bench.rest()
    size, case, results, rest, sent = told(study, "a.mrui")
    assert size.startswith("3 bytes, sha256 ")
    assert case.startswith("Case a.mrui (signal): done in ")
    (folder,) = (study.root / "outputs").glob("*/a.mrui.tgz")
    assert results == f"Its results: {folder.relative_to(study.root)}."
    assert rest.endswith("where its content changes, or with `vipsync rerun DIR a.mrui`.")
    assert sent.startswith("Sent 2026-01-01 ")
    assert sent.endswith(" UTC to /vip/Home/API/study/INPUTS/a.mrui.")
    assert "Case a.mrui (parameters, shared with other cases): done" in told(study, "common.txt")[1]
    study.marker.unlink()
    bench.rest()
    assert told(study, "a.mrui")[-1].endswith("removed from there with the session's data.")


def test_a_changed_input_says_why_it_runs_again(bench: Bench) -> None:
    """Also where the older result is; a case that a person runs again did not change."""
    study = bench.study(a="one", b="two")
    bench.rest()
    (older,) = (study.root / "outputs").glob("*/a.mrui.tgz")
    study.drop(a="uno")
    words = "1 case changed since it ran, and runs again: a.mrui. Older results stay."
    seen: list[str] = []
    most = 2

    def over() -> bool:
        seen.extend(notice.text for notice in status(study).notices)
        return len(bench.executions()) == most and status(study).counts == {"done": 2}

    bench.until(over)
    assert words in seen
    assert words not in [notice.text for notice in status(study).notices]
    (line,) = [line for line in told(study, "a.mrui") if line.startswith("It changed since")]
    assert line.endswith(
        f"and runs as a new case; the older results stay: {older.relative_to(study.root)}."
    )
    assert not any("changed since" in line for line in told(study, "b.mrui"))
    seen.clear()
    most = 3
    study.ask("rerun", "a.mrui")
    bench.until(over)
    assert words not in seen
    assert not any("changed since" in line for line in told(study, "b.mrui"))


def test_while_nobody_knows_whether_it_arrived(bench: Bench, study: Study) -> None:
    """The last try is told, and that it is in doubt."""
    bench.world.faults.arm(Kind.UPLOAD_TIMES_OUT, "*/a.mrui", seconds=3600)
    study.write({"DONE": ""})
    bench.until(lambda: study.state.session.unanswered_at)
    assert "is not known yet" in told(study, "a.mrui")[-1]


def test_what_comes_next(study: Study) -> None:
    """Without a running vipsync, a new file is said to go up next."""
    study.write({"DONE": ""})
    next_look = "It is looked at next for what names somebody, and sent if nothing does."
    assert told(study, "a.mrui")[-1] == next_look
    assert told(study, "a.mrui", judges=True)[-1] == (
        "It would be sent next, to /vip/Home/API/study/INPUTS/a.mrui."
    )
    study.write({"a.mrui": rda(PatientName="Smith^John")})
    assert told(study, "a.mrui", judges=True)[-1] == (
        "It may not go to VIP: PatientName in 1 file."
    )


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("DONE", "It says that a case is complete ([inputs] ready), and is never sent."),
        ("notes.txt", "No setting of settings.toml uses it; the nearest pattern is common.txt."),
        ("old/a.mrui", "Left out by the ignore rule old/ (settings.toml, [inputs] ignore)."),
        ("b.mrui.part", "Left out by the ignore rule *.part (built in)."),
        ("c.mrui", "It is not there."),
        ("old", "Left out by the ignore rule old/ (settings.toml, [inputs] ignore)."),
    ],
)
def test_a_file_that_no_case_uses(study: Study, path: str, words: str) -> None:
    """The rule that decides is named."""
    study.write({"DONE": ""})
    assert words in told(study, path)


def test_a_folder_that_is_packed(bench: Bench) -> None:
    """The folder and each file in it name the case, and the archive that went up for them."""
    study = bench.study(settings=SETTINGS.replace('"*.mrui"', '{ zip = "{sub}/dicom/" }'))
    study.write({"s1/dicom/a.dcm": "1", "s1/dicom/b.dcm": "22", "s1/notes/c.txt": ""})
    bench.rest()
    assert told(study, "s1/dicom")[0] == "A folder with 2 files, 3 bytes."
    for path in ("s1/dicom", "s1/dicom/a.dcm"):
        _, case, results, _, sent = told(study, path)
        assert "s1-dicom.zip" in results or "s1" in results
        assert case.startswith("Case s1 (signal): done")
        assert sent.endswith("/INPUTS/s1-dicom.zip.")
    assert told(study, "s1")[0] == "A folder with 3 files, 3 bytes."


def test_a_result_names_its_execution(bench: Bench) -> None:
    """Also a file of an unpacked archive; what a person put there is told as such."""
    study = bench.study(a="one")
    bench.rest()
    found = preview(SessionFolder(study.root), None)
    outputs = study.root / "outputs"
    first = next(outputs.glob("*/*.tgz/*")).relative_to(outputs)
    lines = why_result(found, RelPath(first.as_posix())).lines
    assert lines[0].startswith("A result of workflow-")
    assert lines[1].startswith("State: here since 2026-01-01 ")
    assert why_result(found, RelPath("mine.txt")).lines == ("vipsync did not bring it here.",)


@pytest.mark.parametrize("clean", [False, True])
def test_a_result_that_was_deleted_is_not_said_to_be_here(bench: Bench, clean: bool) -> None:
    """It says when it came, and whether VIP can give it again."""
    study = bench.study(a="one")
    bench.rest()
    if clean:
        study.marker.unlink()
        bench.rest()
    outputs = study.root / "outputs"
    first = next(outputs.glob("*/*.tgz/*"))
    first.unlink()
    first.parent.rmdir()
    found = preview(SessionFolder(study.root), None)
    _, state = why_result(found, RelPath(first.relative_to(outputs).as_posix())).lines
    assert state.startswith("State: deleted here; it came 2026-01-01 ")
    assert state.endswith("VIP no longer has it." if clean else "VIP still has it.")
