"""Where results lie here; what is fetched when is in test_plan."""

from __future__ import annotations

import pytest

from tests.lab.builders import OPEN, OUTPUTS, execution, result, settings, snapshot
from vipsync.errors import ForeignPath
from vipsync.model import ExecutionStatus, VipPath, replace
from vipsync.plan.results import local_path, open_results, results_name, wanted
from vipsync.rows import ResultStatus

MOMENT = snapshot(session=OPEN)


@pytest.mark.parametrize(
    ("vip", "local"),
    [
        (f"{OUTPUTS}/2026-01-31_142205/a.tgz", "2026-01-31_142205/a.tgz"),
        (f"{OUTPUTS}/x/sub/a.csv", "x/sub/a.csv"),
        (f"{OUTPUTS}/31-01-2026_14:22:05/a.tgz", "31-01-2026_14:22:05/a.tgz"),
        (f"{OUTPUTS}2/a.tgz", "e1/a.tgz"),
        ("/vip/EGI (group)/deep/a.nii", "e1/a.nii"),
        (f"{OUTPUTS}/x/re\u0301sultat.csv", "x/r\u00e9sultat.csv"),
    ],
)
def test_the_output_tree_is_mirrored(vip: str, local: str) -> None:
    """Below outputs/ as below OUTPUTS; what lies elsewhere on VIP goes below its execution's id."""
    assert local_path(VipPath(vip), execution(), MOMENT) == local


@pytest.mark.parametrize(
    "vip", [f"{OUTPUTS}/../x", f"{OUTPUTS}//x", f"{OUTPUTS}/a\\b", f"{OUTPUTS}/a\nb", "/vip/.."]
)
def test_a_path_that_leads_out_has_no_place(vip: str) -> None:
    """Whatever VIP says, nothing is written outside outputs/."""
    with pytest.raises(ForeignPath):
        local_path(VipPath(vip), execution(), MOMENT)


def test_what_belongs_to_no_result_lies_beside_them() -> None:
    """In the folder of the results, else below the id of the execution."""
    assert results_name(execution(), MOMENT) == "e1"
    assert results_name(execution("x", results_folder=None), MOMENT) == "x"
    odd = execution("x", results_folder=VipPath(f"{OUTPUTS}/../y"))
    assert results_name(odd, MOMENT) == "x"


def test_all_ends_are_wanted_unless_settings_name_some() -> None:
    """`get_status`."""
    failed = execution(status=ExecutionStatus.EXECUTION_FAILED)
    chosen = snapshot(settings=settings(outputs={"get_status": (ExecutionStatus.FINISHED,)}))
    assert (wanted(failed, MOMENT), wanted(failed, chosen)) == (True, False)
    assert wanted(execution(), chosen)


def test_results_are_open_until_they_were_here() -> None:
    """Wanted and refused ones; those of executions that nobody knows are not counted."""
    rows = [
        result("a", ResultStatus.WANTED),
        result("b", ResultStatus.REFUSED),
        result("c"),
        result("d", ResultStatus.LET_GO),
        result("e", ResultStatus.WANTED, execution_id="e9"),
    ]
    moment = snapshot(execution(), *rows, session=OPEN)
    assert open_results(moment) == rows[:2]


def test_names_that_windows_cannot_hold_get_others_there() -> None:
    """Old servers put colons into results folders (facts 6.1); elsewhere the name stays."""
    vip = VipPath(f"{OUTPUTS}/02-02-2023_09:21:23/a b.tgz")
    there = replace(MOMENT, windows=True)
    assert local_path(vip, execution(), MOMENT) == "02-02-2023_09:21:23/a b.tgz"
    assert local_path(vip, execution(), there) == "02-02-2023_09-21-23/a-b.tgz"
