"""What the last run met is told on between runs, as far as the folder itself says nothing of it."""

from __future__ import annotations

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from vipsync.folder.folder import SessionFolder
from vipsync.local import FOR_EVER, Kind
from vipsync.model import replace
from vipsync.plan.draft import Level, Notice
from vipsync.status.preview import preview
from vipsync.status.publish import Publisher, read_status
from vipsync.status.remembered import remembered
from vipsync.status.status import Status, exit_code

KEY = Notice(Level.ERROR, "VIP", "The key is not accepted.", "Make a new one.", 4)


def run(bench: Bench) -> None:
    """Run for some time and end, with words for people."""
    bench.publish = Publisher().publish
    bench.run(600)
    bench.stop()


def told(study: Study) -> Status:
    """Return what the last run said."""
    found = read_status(SessionFolder(study.root))
    assert found is not None
    return found


def between(study: Study, said: Status) -> tuple[Notice, ...]:
    """Return what is remembered of it where no process works in the folder."""
    looked = preview(SessionFolder(study.root), None, environ={})
    return remembered(said, looked.snapshot, looked.plan)


def test_vip_that_could_not_be_reached_is_remembered_until_it_is(bench: Bench) -> None:
    """The code is that of the run, and the time is told."""
    bench.world.faults.arm(Kind.REQUEST_LOST, times=FOR_EVER)
    study = bench.study(a="one")
    run(bench)
    (notice,) = between(study, told(study))
    assert (notice.subject, exit_code([notice])) == ("VIP", 5)
    assert " (at the last run, 20" in notice.text
    bench.world.faults.clear()
    run(bench)
    assert between(study, told(study)) == ()


@pytest.mark.parametrize("subject", ["settings", "inputs", "paused", "a.mrui", "stopped"])
def test_what_the_folder_answers_by_itself_is_not_remembered(bench: Bench, subject: str) -> None:
    """It is left to the fresh look; what only VIP can answer stays."""
    study = bench.study(a="one")
    run(bench)
    said = replace(told(study), notices=(replace(KEY, subject=subject), KEY))
    assert [n.subject for n in between(study, said)] == ["VIP"]


def test_what_was_said_of_another_session_is_not_remembered(bench: Bench) -> None:
    """A status that came with a backup speaks of something else."""
    study = bench.study(a="one")
    run(bench)
    assert between(study, replace(told(study), id="other", notices=(KEY,))) == ()


@pytest.mark.parametrize(
    ("then", "remembers"), [("spectrun/1", True), ("spectrum/1", False), ("x/1\nx = [", False)]
)
def test_a_pipeline_that_is_not_there_is_remembered_as_long_as_it_is_named(
    bench: Bench, then: str, *, remembers: bool
) -> None:
    """Only VIP knows that it is not; the settings know, or will once they can be read, that it is meant no more."""
    wrong = SETTINGS.replace("spectrum/1", "spectrun/1")
    study = bench.study(settings=wrong, a="one")
    run(bench)
    said = told(study)
    study.settings.write_text(SETTINGS.replace('"spectrum/1"', f'"{then}"'))
    assert [n.subject for n in between(study, said)] == ["spectrun/1"] * remembers
