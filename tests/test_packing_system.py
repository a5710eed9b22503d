"""Folders that are sent as one archive, on the whole system: known by their members, sent once."""

from __future__ import annotations

import io
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest

from tests.lab.bench import SETTINGS, Bench, Study, touch
from tests.lab.statuses import states
from vipsync.actions import SendPack
from vipsync.local import Kind
from vipsync.plan.standing import CaseState
from vipsync.run.dispatch import Done, Serial
from vipsync.run.reconciler import Work


def settings(kind: str) -> str:
    """Return settings that pack the dicom folder of each subject."""
    return SETTINGS.replace('"*.mrui"', f'{{ {kind} = "{{sub}}/dicom/" }}')


def scan(study: Study, sub: str = "sub-01", **slices: str) -> None:
    """Put slices into the dicom folder of a subject."""
    study.write({f"{sub}/dicom/{name}.dcm": text for name, text in slices.items()})


def members(content: bytes, kind: str) -> dict[str, bytes]:
    """Return what is in an archive."""
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {m.name: tar.extractfile(m) for m in tar.getmembers()}
        return {name: file.read() for name, file in found.items() if file}


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_a_folder_becomes_one_archive_named_after_its_path(bench: Bench, kind: str) -> None:
    """Each subject's folder is one file on VIP, whole; none of its files goes up alone."""
    study = bench.study(settings=settings(kind))
    scan(study, "sub-01", a="1", b="2")
    scan(study, "sub-02", a="3")
    bench.rest()
    sent = bench.vip_inputs()
    assert sorted(Path(name).name for name in sent) == [
        f"sub-01-dicom.{kind}",
        f"sub-02-dicom.{kind}",
    ]
    (first,) = (c for n, c in sent.items() if n.endswith(f"sub-01-dicom.{kind}"))
    assert members(first, kind) == {"dicom/a.dcm": b"1", "dicom/b.dcm": b"2"}
    assert len(bench.executions()) == 1
    assert states(study) == {"sub-01": CaseState.DONE, "sub-02": CaseState.DONE}
    assert list((study.root / ".vipsync").rglob("*.pack")) == []


@pytest.mark.parametrize(
    ("setting", "name", "inside"),
    [
        ('{ zip = "./", as = "study.zip" }', "study.zip", "sub-01/dicom/a.dcm"),
        ('{ zip = "{sub}/dicom/", as = "{sub}.zip" }', "sub-01.zip", "a.dcm"),
        ('{ as = "x.tgz", tgz = "sub-01/" }', "x.tgz", "dicom/a.dcm"),
    ],
)
def test_an_archive_with_a_name_of_its_own_holds_no_name_of_its_folder(
    bench: Bench, setting: str, name: str, inside: str
) -> None:
    """Members are named from the folder on: what the folder is called goes nowhere."""
    study = bench.study(settings=SETTINGS.replace('"*.mrui"', setting))
    scan(study, a="1")
    bench.rest()
    ((sent, content),) = bench.vip_inputs().items()
    assert Path(sent).name == name
    assert members(content, name.rpartition(".")[2]) == {inside: b"1"}
    assert list(states(study).values()) == [CaseState.DONE]
    scan(study, b="2")
    study.ask("rerun")
    bench.rest()
    assert sorted(bench.vip_inputs()) == [f"_v2/{name}", name]


def test_an_archive_without_the_name_of_its_folder_is_another_one(bench: Bench) -> None:
    """The same files in another layout are sent anew where a person asks for it; nothing starts by itself."""
    study = bench.study(settings=SETTINGS.replace('"*.mrui"', '{ zip = "sub-01/" }'))
    scan(study, a="1")
    bench.rest()
    other = '{ zip = "sub-01/", as = "sub-01.zip" }'
    study.settings.write_text(SETTINGS.replace('"*.mrui"', other))
    bench.run(30)
    study.ask("rerun", "sub-01/")
    bench.rest()
    first, second = bench.vip_inputs()["sub-01.zip"], bench.vip_inputs()["_v2/sub-01.zip"]
    assert members(first, "zip") == {"sub-01/dicom/a.dcm": b"1"}
    assert members(second, "zip") == {"dicom/a.dcm": b"1"}
    assert len(bench.executions()) == 2


def test_names_that_the_disk_spells_decomposed_are_packed(bench: Bench) -> None:
    """As macOS writes them: folders and members go into the archive, by the names that all use."""
    study = bench.study(settings=settings("zip"))
    scan(study, unicodedata.normalize("NFD", "Zoé"), **{unicodedata.normalize("NFD", "é1"): "1"})
    bench.rest()
    (sent,) = bench.vip_inputs().values()
    assert members(sent, "zip") == {"dicom/é1.dcm": b"1"}
    assert list(states(study).values()) == [CaseState.DONE]


def test_touching_the_members_sends_and_launches_nothing(bench: Bench) -> None:
    """An archive is its members' names and contents: their times do not count."""
    study = bench.study(settings=settings("zip"))
    scan(study, a="1", b="2")
    bench.rest()
    changes = bench.changes()
    for path in (study.root / "inputs").rglob("*.dcm"):
        touch(path)
    bench.rest()
    bench.restart()
    bench.rest()
    assert bench.changes() == changes


@pytest.mark.parametrize("change", ["content", "more", "fewer", "name"])
def test_another_member_makes_another_archive_beside_the_first(bench: Bench, change: str) -> None:
    """The first archive stays as it is; the new one goes to the next version and is launched."""
    study = bench.study(settings=settings("tgz"))
    scan(study, a="1", b="2")
    bench.rest()
    (before,) = bench.vip_inputs().items()
    dicom = study.root / "inputs" / "sub-01" / "dicom"
    match change:
        case "content":
            scan(study, b="3")
        case "more":
            scan(study, c="3")
        case "fewer":
            (dicom / "b.dcm").unlink()
        case _:
            (dicom / "b.dcm").rename(dicom / "c.dcm")
    bench.rest()
    sent = bench.vip_inputs()
    assert sent[before[0]] == before[1]
    assert sorted(sent) == sorted([before[0], f"_v2/{before[0]}"])
    here = {f"dicom/{p.name}": p.read_bytes() for p in dicom.iterdir()}
    assert members(sent[f"_v2/{before[0]}"], "tgz") == here
    assert len(bench.executions()) == 2


def test_an_archive_waits_until_every_member_is_quiet(bench: Bench) -> None:
    """A scanner that still writes its folder: one archive, with everything in it."""
    study = bench.study(settings=settings("zip"))
    bench.rest()
    for n in range(8):
        scan(study, **{f"slice{n}": str(n)})
        study.notice()
        bench.run(20)
        assert bench.executions() == []
    bench.rest()
    ((_, content),) = bench.vip_inputs().items()
    assert len(members(content, "zip")) == 8
    assert len(bench.executions()) == 1


def test_a_folder_that_lost_a_file_once_is_quiet_at_every_start(bench: Bench) -> None:
    """What went while nobody looked, or long ago, restarts no clock."""
    study = bench.study(settings=settings("zip"))
    scan(study, a="1", b="2")
    bench.rest()
    (study.root / "inputs" / "sub-01" / "dicom" / "b.dcm").unlink()
    bench.run(400)
    bench.clock.sleep(1e6)
    bench.restart()
    bench.until(lambda: study.session.snapshot)
    assert study.session.snapshot is not None
    assert study.session.snapshot.unsettled == {}


@pytest.mark.parametrize("whole", ['{ zip = "{sub}/dicom/" }', '"{sub}/dicom/"'])
def test_a_folder_that_is_emptied_file_by_file_is_left_alone_until_it_is_quiet(
    bench: Bench, whole: str
) -> None:
    """What is gone restarts the clock as what changes does: only the last state is launched."""
    study = bench.study(settings=SETTINGS.replace('"*.mrui"', whole))
    scan(study, a="1", b="2", c="3", d="4")
    bench.rest()
    for name in "abc":
        (study.root / "inputs" / "sub-01" / "dicom" / f"{name}.dcm").unlink()
        bench.run(20)
    assert len(bench.executions()) == 1
    bench.rest()
    assert len(bench.executions()) == 2


@pytest.mark.parametrize("kind", [Kind.ANSWER_LOST, Kind.ANSWER_REFUSED, Kind.ANSWER_ERROR])
def test_an_archive_whose_answer_was_lost_is_not_sent_twice(bench: Bench, kind: Kind) -> None:
    """It lies there in its size after our own intent: that is the archive."""
    bench.world.faults.arm(kind, "PUT *dicom.zip")
    study = bench.study(settings=settings("zip"))
    scan(study, a="1")
    bench.rest()
    assert list(bench.vip_inputs()) == ["sub-01-dicom.zip"]
    assert len(bench.executions()) == 1
    assert sum("dicom.zip" in change for change in bench.changes()) == 1


def test_an_archive_that_arrives_late_is_used(bench: Bench) -> None:
    """VIP says failed after its timeout, and completes the transfer later (facts 3.5)."""
    bench.world.faults.arm(Kind.UPLOAD_TIMES_OUT, "*dicom.zip", seconds=90.0)
    study = bench.study(settings=settings("zip"))
    scan(study, a="1")
    bench.rest()
    assert len(bench.executions()) == 1
    ((_, content),) = bench.vip_inputs().items()
    assert members(content, "zip") == {"dicom/a.dcm": b"1"}
    assert states(study) == {"sub-01": CaseState.DONE}


def test_an_archive_of_a_wrong_size_is_sent_beside_it(bench: Bench) -> None:
    """What lies there is never used: the next version is."""
    bench.world.faults.arm(Kind.UPLOAD_WRONG_SIZE, "*dicom.zip")
    study = bench.study(settings=settings("zip"))
    scan(study, a="1")
    bench.rest()
    (signal,) = bench.world.executions.all()[0].submission.values["signal"]
    assert signal == "/vip/Home/API/study/INPUTS/_v2/sub-01-dicom.zip"
    assert members(bench.vip_inputs()["_v2/sub-01-dicom.zip"], "zip") == {"dicom/a.dcm": b"1"}


class Dying(Serial):
    """Carries out work until an archive is to be sent; then it is dead, before or after the transfer."""

    def __init__(self, *, after: bool) -> None:
        self.after, self.dead = after, False

    def submit(self, work: Work, done: Done) -> None:
        """Carry one piece of work out."""
        if isinstance(work.action, SendPack):
            self.dead = True
            if self.after:
                work.run()
        if not self.dead:
            super().submit(work, done)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_dies_while_it_sends_an_archive_goes_on(
    bench: Bench, *, after: bool
) -> None:
    """The next one finds the intent and looks: the archive is on VIP once, and nothing is left here."""
    bench.executor = dying = Dying(after=after)
    study = bench.study(settings=settings("zip"))
    scan(study, a="1", b="2")
    bench.until(lambda: dying.dead)
    (study.root / ".vipsync" / "transfers" / "left.pack").write_bytes(b"half")
    bench.die()
    bench.executor = Serial()
    bench.rest()
    assert list(bench.vip_inputs()) == ["sub-01-dicom.zip"]
    assert sum("dicom.zip" in change for change in bench.changes()) == 1
    assert len(bench.executions()) == 1
    assert states(study) == {"sub-01": CaseState.DONE}
    assert list((study.root / ".vipsync").rglob("*.pack")) == []


def test_a_folder_that_changed_while_nothing_ran_is_another_archive(bench: Bench) -> None:
    """The process died with the transfer in doubt; meanwhile a slice came: both are told apart."""
    bench.executor = dying = Dying(after=True)
    study = bench.study(settings=settings("zip"))
    scan(study, a="1")
    bench.until(lambda: dying.dead)
    bench.die()
    bench.executor = Serial()
    scan(study, b="2")
    bench.rest()
    sent = bench.vip_inputs()
    assert members(sent["sub-01-dicom.zip"], "zip") == {"dicom/a.dcm": b"1"}
    assert len(members(sent["_v2/sub-01-dicom.zip"], "zip")) == 2
    (signal,) = bench.world.executions.all()[0].submission.values["signal"]
    assert signal == "/vip/Home/API/study/INPUTS/_v2/sub-01-dicom.zip"
    assert len(bench.executions()) == 1
