"""The life of a session, on the whole system: files in, one execution, results, and again."""

from __future__ import annotations

from tests.lab.bench import SETTINGS, Bench, touch
from vipsync.rows import Phase

ANSWER = b"spectrum/1 {'signal': 'a.mrui'}\n"


def test_a_new_folder_runs_once_and_mirrors_what_comes_of_it(bench: Bench) -> None:
    """Needed files go up, one execution starts, its archives are unpacked under their own names."""
    study = bench.study(a="one", b="two")
    study.write({"notes.docx": "not for VIP"})
    before = study.inputs()
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one", "b.mrui": b"two"}
    assert bench.executions() == [["a.mrui", "b.mrui"]]
    assert sorted(study.outputs()) == ["1/a.mrui.tgz/a.txt", "1/b.mrui.tgz/b.txt"]
    assert study.outputs()["1/a.mrui.tgz/a.txt"] == ANSWER
    assert study.marker.exists()
    assert study.inputs() == before
    assert study.notices == []


def test_the_marker_is_there_before_anything_changes_on_vip(bench: Bench) -> None:
    """At the first request that is not a GET, ON_VIP.txt lies in the folder."""
    study = bench.study(a="one")
    bench.until(bench.changes)
    assert study.marker.exists()
    assert len(bench.changes()) == 1


def test_the_ids_folder_is_the_first_thing_in_the_sessions_folder(bench: Bench) -> None:
    """Nothing of a session is on VIP before its id is."""
    study = bench.study(a="one")
    bench.rest()
    home = "PUT /path/vip/Home/API"
    assert bench.changes()[:4] == [
        home,
        f"{home}/study",
        f"{home}/study/vipsync-{study.state.session.id}",
        f"{home}/study/INPUTS",
    ]


def test_a_second_run_changes_nothing_on_vip(bench: Bench) -> None:
    """Another process finds everything done, and says so without a request that changes anything."""
    study = bench.study(a="one", b="two")
    bench.rest()
    changed, results = bench.changes(), study.outputs()
    bench.restart()
    bench.rest()
    assert bench.changes() == changed
    assert study.outputs() == results


def test_at_rest_nothing_is_asked_of_vip(bench: Bench) -> None:
    """Half an hour without a new file or a running execution costs VIP nothing."""
    bench.study(a="one")
    bench.rest()
    before = len(bench.world.requests)
    bench.run(1800)
    assert len(bench.world.requests) == before


def test_one_more_file_sends_and_runs_only_that_one(bench: Bench) -> None:
    """What was launched stays as it is; the new case gets its own execution."""
    study = bench.study(a="one", b="two")
    bench.rest()
    before = bench.count("PUT")
    study.drop(c="three")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"], ["c.mrui"]]
    assert bench.count("PUT") == before + 1
    assert "2/c.mrui.tgz/c.txt" in study.outputs()


def test_touching_every_input_sends_and_launches_nothing(bench: Bench) -> None:
    """Content is judged by its hash, never by its time."""
    study = bench.study(a="one", b="two")
    bench.rest()
    changed = bench.changes()
    for path in (study.root / "inputs").iterdir():
        touch(path)
    bench.rest()
    assert bench.changes() == changed


def test_other_content_goes_beside_the_old_and_is_launched_again(bench: Bench) -> None:
    """Nothing on VIP is replaced: the new content lies in the next version folder."""
    study = bench.study(a="one", b="two")
    bench.rest()
    study.drop(a="uno")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one", "b.mrui": b"two", "_v2/a.mrui": b"uno"}
    assert bench.executions() == [["a.mrui", "b.mrui"], ["a.mrui"]]
    study.drop(a="a longer one")
    bench.rest()
    assert bench.vip_inputs()["_v3/a.mrui"] == b"a longer one"
    assert len(bench.executions()) == 3


def test_content_that_comes_back_is_not_launched_again(bench: Bench) -> None:
    """A case is launched once for the content of its files, whatever was in between."""
    study = bench.study(a="one")
    bench.rest()
    study.drop(a="uno")
    bench.rest()
    study.drop(a="one")
    bench.rest()
    assert len(bench.executions()) == 2
    assert len(bench.vip_inputs()) == 2


def test_deleting_an_input_deletes_nothing_anywhere(bench: Bench) -> None:
    """What was sent stays on VIP, what came stays here."""
    study = bench.study(a="one", b="two")
    bench.rest()
    results, on_vip = study.outputs(), bench.vip_files()
    (study.root / "inputs" / "a.mrui").unlink()
    bench.rest()
    assert (study.outputs(), bench.vip_files()) == (results, on_vip)


def test_two_hundred_files_at_once_become_one_execution(bench: Bench) -> None:
    """Files that arrive together start together."""
    study = bench.study()
    bench.rest()
    study.drop(**{f"s{n:03}": str(n) for n in range(200)})
    bench.rest()
    assert [len(signals) for signals in bench.executions()] == [200]
    assert len(study.outputs()) == 200


def test_a_file_that_settles_soon_joins_the_others(bench: Bench) -> None:
    """A launch waits for a file that still grows, and takes it along."""
    study = bench.study(a="one")
    growing = ""
    for _ in range(8):
        growing += "more "
        study.drop(b=growing)
        bench.run(4)
        assert bench.executions() == []
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"]]
    assert bench.vip_inputs()["b.mrui"] == growing.encode()


def test_a_file_that_settles_late_comes_in_its_own_execution(bench: Bench) -> None:
    """After a minute the others no longer wait; the late one is sent once, whole."""
    study = bench.study(a="one")
    growing = ""
    for _ in range(30):
        growing += "more "
        study.drop(b=growing)
        bench.run(4)
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]
    assert bench.vip_inputs() == {"a.mrui": b"one", "b.mrui": growing.encode()}


def test_a_steady_stream_of_files_does_not_put_the_first_off_for_ever(bench: Bench) -> None:
    """One new file every three seconds: the first starts after a minute or so, and all run once."""
    study = bench.study()
    bench.rest()
    for n in range(40):
        study.drop(**{f"s{n:02}": str(n)})
        study.notice()
        bench.run(3)
    assert bench.executions() != []
    bench.rest()
    ran = [signal for signals in bench.executions() for signal in signals]
    assert sorted(ran) == [f"s{n:02}.mrui" for n in range(40)]
    assert len(bench.executions()) <= 4


def test_shared_files_go_up_once_and_every_case_uses_them(bench: Bench) -> None:
    """A file named in full is shared: a change of it is not a reason to launch again."""
    study = bench.study(settings=SETTINGS + 'parameters = "p.txt"\n', a="one", b="two")
    study.write({"p.txt": "width 1"})
    bench.rest()
    assert sorted(bench.vip_inputs()) == ["a.mrui", "b.mrui", "p.txt"]
    study.write({"p.txt": "width 2"})
    bench.rest()
    assert len(bench.executions()) == 1
    study.drop(c="three")
    bench.rest()
    assert bench.executions()[1:] == [["c.mrui"]]
    assert bench.vip_inputs()["_v2/p.txt"] == b"width 2"


def test_an_empty_file_goes_up_as_a_file(bench: Bench) -> None:
    """Zero bytes are data, and no folder is made of them (facts 3.5)."""
    bench.study(a="")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b""}
    assert bench.executions() == [["a.mrui"]]


def test_upload_all_sends_the_other_files_too(bench: Bench) -> None:
    """With `upload = "all"` a file that no setting uses goes up as well."""
    study = bench.study(settings=SETTINGS + '\n[inputs]\nupload = "all"\n', a="one")
    study.write({"protocol/notes.pdf": "notes"})
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one", "protocol/notes.pdf": b"notes"}


def test_without_a_pipeline_the_folder_only_uploads(bench: Bench) -> None:
    """No pipeline_id: files go up, nothing is launched, the marker removes them."""
    study = bench.study(settings='portal = "https://vip.test"\n', a="one")
    bench.rest()
    assert bench.vip_inputs() == {"a.mrui": b"one"}
    study.marker.unlink()
    bench.rest()
    assert bench.sessions_on_vip() == []
    bench.rest()
    assert study.phase() is Phase.CLOSED
    assert bench.sessions_on_vip() == []


def test_several_runs_of_a_case_have_their_own_executions(bench: Bench) -> None:
    """nb_runs = 3: three executions with the same values, each with its own results folder."""
    study = bench.study(settings=SETTINGS + "\n[launch]\nnb_runs = 3\n", a="one")
    bench.rest()
    assert bench.executions() == [["a.mrui"]] * 3
    assert sorted(study.outputs()) == [f"{n}/a.mrui.tgz/a.txt" for n in (1, 2, 3)]


def test_pause_holds_sending_and_launching_back_and_resume_goes_on(bench: Bench) -> None:
    """While it is paused a new file waits; results of what runs still come."""
    study = bench.study(a="one")
    bench.until(bench.executions)
    study.ask("pause")
    bench.run(5)
    study.drop(b="two")
    bench.rest()
    assert list(study.outputs()) == ["1/a.mrui.tgz/a.txt"]
    assert bench.executions() == [["a.mrui"]]
    study.ask("resume")
    bench.rest()
    assert bench.executions() == [["a.mrui"], ["b.mrui"]]


def test_manual_launch_waits_for_the_request(bench: Bench) -> None:
    """`when = "manual"`: a complete case starts only when a person says so."""
    study = bench.study(settings=SETTINGS + '\n[launch]\nwhen = "manual"\n', a="one")
    bench.rest()
    assert bench.executions() == []
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


ALL_ON_VIP = SETTINGS.replace('"*.mrui"', '"/vip/Home/data/a.mrui"')


def put_on_vip(bench: Bench) -> None:
    """Let the file be there that these settings name."""
    (bench.home.parent / "data").mkdir(parents=True)
    (bench.home.parent / "data/a.mrui").write_text("one")


def test_a_session_whose_inputs_are_all_on_vip_starts_once(bench: Bench) -> None:
    """A case that needs no file of this machine is launched though inputs/ is empty."""
    put_on_vip(bench)
    study = bench.study(settings=ALL_ON_VIP)
    bench.rest()
    assert bench.executions() == [["a.mrui"]]
    assert "1/a.mrui.tgz/a.txt" in study.outputs()
    bench.restart()
    bench.rest()
    study.marker.unlink()
    bench.rest()
    assert len(bench.executions()) == 1
    assert bench.sessions_on_vip() == []


def test_a_launch_of_a_case_on_vip_waits_until_it_is_known(bench: Bench) -> None:
    """A request that comes before the pipeline was ever read is about the case that it makes."""
    put_on_vip(bench)
    study = bench.study(settings=ALL_ON_VIP + '\n[launch]\nwhen = "manual"\n')
    (study.root / ".vipsync/requests").mkdir(parents=True)
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui"]]


def test_an_empty_folder_whose_settings_wait_for_files_asks_nothing_of_vip(bench: Bench) -> None:
    """A pattern without files makes no case, so nobody needs to know the pipeline yet."""
    bench.study()
    bench.rest()
    bench.run(3600)
    assert not bench.world.requests


def test_an_empty_folder_that_may_need_no_files_asks_for_its_pipeline_once(bench: Bench) -> None:
    """A name without a pattern may be a word, which only the definition tells; it is read once."""
    study = bench.study(settings=SETTINGS.replace("*.mrui", "a.mrui"))
    bench.rest()
    bench.run(3600)
    assert bench.count("GET /pipelines") == 1
    assert bench.changes() == []
    assert study.marker.exists() is False


def test_more_jobs_than_agreed_wait_for_a_person(bench: Bench) -> None:
    """Above confirm_above nothing starts, and the plan says how to go on."""
    study = bench.study(settings=SETTINGS + "\n[launch]\nconfirm_above = 1\n", a="one", b="two")
    bench.rest()
    assert bench.executions() == []
    assert study.says("2 jobs are ready to start")
    study.ask("launch")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"]]


def test_rerun_launches_a_case_once_more(bench: Bench) -> None:
    """A request to run again holds for the case that it names, once."""
    study = bench.study(a="one", b="two")
    bench.rest()
    study.ask("rerun", "b.mrui")
    bench.rest()
    assert bench.executions() == [["a.mrui", "b.mrui"], ["b.mrui"]]
    bench.restart()
    bench.rest()
    assert len(bench.executions()) == 2
