"""Files that settings name on VIP: looked for before anything is launched with them."""

from __future__ import annotations

import pytest

from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.statuses import cases, states
from vipsync.actions import FilesSeen
from vipsync.client.vip_client import VipClient
from vipsync.commands.check import check
from vipsync.folder.folder import SessionFolder
from vipsync.local import FOR_EVER, InProcess, Kind
from vipsync.model import VipPath
from vipsync.plan.named_files import nearest
from vipsync.plan.standing import CaseState
from vipsync.status.status import Finding

ON_VIP = {
    "users/local_user/data/Ref.txt": "reference",
    "users/local_user/data/a.txt": "of a",
    "groups/EGI/basis.zip": "basis",
    "groups/Theirs/basis.zip": "basis",
}

ABSENT = [
    ("/vip/Home/data/nothing-like-it", ""),
    ("/vip/Home/data/ref.txt", "/vip/Home/data/Ref.txt"),
    ("/vip/Home/Data/Ref.txt", "/vip/Home/data/Ref.txt"),
    ("/vip/home/data/Ref.txt", "/vip/Home/data/Ref.txt"),
    ("/vip/Home/data/Reff.txt", "/vip/Home/data/Ref.txt"),
    ("/vip/Home/data/Ref.txt/x", ""),
    ("/vip/Theirs (group)/basis.zip", ""),
    ("/vip/EGI/basis.zip", "/vip/EGI (group)/basis.zip"),
]

THERE = [
    "/vip/Home/data/Ref.txt",
    "/vip/Home/data",
    "/vip/Home/data/",
    "/vip/Home//data/./Ref.txt",
    "/vip/EGI (group)/basis.zip",
]


def put_on_vip(bench: Bench) -> None:
    """Put files where others have put them before."""
    for name, content in ON_VIP.items():
        path = bench.world.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def study_with(bench: Bench, value: str, **signals: str) -> Study:
    """Return a folder whose cases take one more file from VIP."""
    put_on_vip(bench)
    settings = SETTINGS.replace("*.mrui", "{s}.mrui") + f'parameters = "{value}"\n'
    return bench.study(settings=settings, **signals)


@pytest.mark.parametrize(("value", "meant"), ABSENT)
def test_nothing_is_launched_with_a_file_that_is_not_on_vip(
    bench: Bench, value: str, meant: str
) -> None:
    """Nothing goes up either; the case waits and says why, with the name that is there."""
    study = study_with(bench, value, a="one")
    bench.rest()
    assert bench.changes() == []
    assert study.says(f"{value} It cannot be found on VIP")
    assert study.says(f"Did you mean {meant}" if meant else "Did you mean") is bool(meant)
    assert states(study) == {"a": CaseState.WAITING}
    assert f"waits for {value}, which cannot be found on VIP" in cases(study)["a"].reason


@pytest.mark.parametrize("value", THERE)
def test_a_file_that_is_on_vip_is_looked_for_once_in_a_run(bench: Bench, value: str) -> None:
    """One list tells of all cases."""
    study = study_with(bench, value, a="one", b="three")
    bench.rest()
    assert states(study) == {"a": CaseState.DONE, "b": CaseState.DONE}
    lists = {f"GET /path{folder}" for folder in ("/vip/Home", "/vip/Home/data", "/vip/EGI (group)")}
    assert sum(f"{r.method} {r.path}" in lists for r in bench.world.requests) == 1


def test_the_cases_whose_files_are_there_go_on(bench: Bench) -> None:
    """The others follow once a person has put theirs on VIP."""
    study = study_with(bench, "/vip/Home/data/{s}.txt", a="one", b="three")
    bench.rest()
    assert states(study) == {"a": CaseState.DONE, "b": CaseState.WAITING}
    assert sorted(bench.vip_inputs()) == ["a.mrui"]
    (bench.world.root / "users/local_user/data/b.txt").write_text("of b")
    bench.run(400)
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert study.notices == []


def test_a_folder_that_vip_cannot_list_is_no_obstacle(bench: Bench) -> None:
    """A name in it that VIP stumbles over says nothing of the others: they are asked for one by one."""
    bench.world.faults.arm(Kind.SERVER_ERROR, "GET /rest/path/vip/Home/data", times=1)
    study = study_with(bench, "/vip/Home/data/{s}.txt", a="one", b="three")
    bench.rest()
    assert states(study) == {"a": CaseState.DONE, "b": CaseState.WAITING}


def test_while_vip_cannot_tell_nothing_is_launched(bench: Bench) -> None:
    """A look that failed is no proof, of neither."""
    bench.world.faults.arm(Kind.REQUEST_LOST, "GET /rest/path/vip/Home/data*", times=FOR_EVER)
    study = study_with(bench, "/vip/Home/data/Ref.txt", a="one")
    bench.run(1000)
    assert bench.changes() == []
    bench.world.faults.clear()
    bench.run(400)
    bench.rest()
    assert states(study) == {"a": CaseState.DONE}


def checked(bench: Bench, study: Study) -> list[Finding]:
    """Return what `check` finds."""
    with VipClient("https://vip.test", bench.key, InProcess(bench.world)) as client:
        return list(check(SessionFolder(study.root), lambda *_: (client, ""), {}))


@pytest.mark.parametrize(("value", "meant"), [*ABSENT, *((value, None) for value in THERE)])
def test_check_looks_for_files_on_vip(bench: Bench, value: str, meant: str | None) -> None:
    """Before anything was run, and without a change; it counts what would start then."""
    found = checked(bench, study_with(bench, value, a="one"))
    asking = [f"{finding.subject}: {finding.text}" for finding in found if finding.exit_code]
    hint = f" Did you mean {meant}?" if meant else ""
    words = f"{value}: It cannot be found on VIP, or this account may not read it.{hint}"
    assert asking == ([] if meant is None else [words])
    starts = "1 execution with 1 job" if meant is None else "Nothing would be sent or started."
    assert any(starts in finding.text for finding in found)
    assert bench.changes() == []


@pytest.mark.parametrize(
    ("path", "folder", "entries", "meant"),
    [
        ("/vip/Home/a.nii", "/vip/Home", ["A.nii", "b.nii"], "/vip/Home/A.nii"),
        ("/vip/Home/sub-1/t1.nii", "/vip/Home", ["sub_1"], "/vip/Home/sub_1/t1.nii"),
        ("/vip/egi/x", "/vip", ["Home", "EGI (group)"], "/vip/EGI (group)/x"),
        ("/vip/Home/x", "/vip/Home", [], ""),
        ("/vip/Home/x/y", "/vip/Home", ["x"], ""),
        ("/vip/Home/basis.zip", "/vip/Home", ["bases.zip", "BASIS.zip"], "/vip/Home/BASIS.zip"),
    ],
)
def test_the_nearest_name_is_meant(path: str, folder: str, entries: list[str], meant: str) -> None:
    """Another case before another spelling; what follows in the path stays as it is."""
    there = tuple(VipPath(f"{folder}/{name}") for name in entries)
    assert nearest(VipPath(path), FilesSeen(VipPath(folder), there)) == meant
