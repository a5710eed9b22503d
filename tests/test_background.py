"""`vipsync run` in a process of its own, while files come, change and go as they do in real life."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.served import SETTINGS, Served, serve, wait_until

SETTLE_SECONDS = SETTINGS.replace('settle = "100ms"', 'settle = "3s"')


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One VIP for all tests of this module; each has a session of its own."""
    with serve(tmp_path_factory.mktemp("vip")) as found:
        yield found


def test_a_slow_writer_a_burst_and_the_marker(served: Served) -> None:
    """A file that grows is sent once and whole, a burst is one execution, the end leaves VIP clean."""
    study = served.study("live", SETTLE_SECONDS)
    inputs, uploads = study / "inputs", _uploads(served)
    with served.process("run", study):
        wait_until(lambda: (study / ".vipsync" / "ledger.sqlite").exists())
        content = _write_slowly(inputs / "slow.mrui", pieces=16, pause=0.25)
        _wait_for_results(study, 1)
        assert _stored(served, "live", "slow.mrui") == content
        assert _uploads(served) == uploads + 1
        for number in range(200):
            (inputs / f"burst{number:03}.mrui").write_text(f"signal {number}")
        _wait_for_results(study, 201)
        assert served.launches() == 2
        _lose_and_edit(study)
        (study / "ON_VIP.txt").unlink()
        wait_until(lambda: "live" not in served.on_vip())
    assert len(_results(study)) == 201


def _lose_and_edit(study: Path) -> None:
    """Delete one result, which comes back; edit another, which is left alone and reported."""
    edited, lost = _results(study)[:2]
    shutil.rmtree(lost)
    (first,) = [p for p in edited.iterdir() if p.is_file()][:1]
    first.write_text("my own notes")
    wait_until(lambda: lost.is_dir() and any(lost.iterdir()))
    wait_until(lambda: f"{edited.name} was changed" in (study / "STATUS.txt").read_text())
    assert first.read_text() == "my own notes"


def test_a_folder_made_later_is_found(served: Served) -> None:
    """A process that keeps a directory takes in what appears in it."""
    first = served.study("many/first", a="one")
    (first / "settings.toml").write_text(SETTINGS.replace("{name}", "first"))
    with served.process("run", first.parent):
        _wait_for_results(first, 1)
        second = served.study("many/second", b="two")
        (second / "settings.toml").write_text(SETTINGS.replace("{name}", "second"))
        _wait_for_results(second, 1)


def test_killed_processes_leave_nothing_half(served: Served) -> None:
    """Killed without warning again and again, the work still ends as if nothing had happened."""
    before = served.launches()
    study = served.study("killed", **{f"s{number}": f"signal {number}" for number in range(20)})
    chance = random.Random(7)
    for _ in range(6):
        with served.process("run", study) as process:
            time.sleep(chance.uniform(0.3, 1.0))  # the moment of death is what is tried here
            process.kill()
    with served.process("run", study, module="tests.lab.short_waits"):
        _wait_for_results(study, 20)
        (study / "ON_VIP.txt").unlink()
        wait_until(lambda: "killed" not in served.on_vip())
    assert served.launches() == before + 1
    assert list((study / ".vipsync" / "transfers").iterdir()) == []


NOBODY_HEARS = {
    "full": ">/dev/full",
    "both full": ">/dev/full 2>&1",
    "no stdin": "<&-",
    "no stdout": ">&-",
    "no stderr": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "read only": "1</dev/null 2>&1",
}


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _redirected(way: str) -> list[str]:
    return ["sh", "-c", f'exec "$@" {way}', "sh"]


@pytest.mark.parametrize("way", NOBODY_HEARS.values(), ids=NOBODY_HEARS)
def test_what_nobody_hears_ends_no_work(served: Served, way: str) -> None:
    """Results come wherever the words go; what stdout does not take is in the log, and said once."""
    name = f"deaf{list(NOBODY_HEARS.values()).index(way)}"
    study = served.study(name, a="one")
    with served.process("run", "--once", study, within=_redirected(way)) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert "fault" not in err
    assert len(_results(study)) == 1
    if "1" in way or way.startswith(">"):
        log = (study / ".vipsync" / "vipsync.log").read_text()
        assert "Everything is here: 1 case done" in log
        assert log.count("the work goes on") == 1


@pytest.mark.parametrize("command", ["status", "check", "plan", "--help"])
@pytest.mark.parametrize("way", [">/dev/full", "<&- >&- 2>&-"])
def test_what_only_tells_ends_without_a_fault(served: Served, way: str, command: str) -> None:
    """There is nothing to report of a disk on which nothing can be written."""
    study = served.study(f"{command}{way == '>/dev/full'}", a="one")
    with served.process(command, study, within=_redirected(way)) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "fault" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("way", "code"), [(">/dev/full", 3), (">&-", 3), ("| head -c 1", 0)])
def test_a_document_that_did_not_come_out_is_an_error(served: Served, way: str, code: int) -> None:
    """A program must not take half of it for the whole; a reader that had enough is no error."""
    study = served.study(f"json-{len(way)}", a="one")
    shell = ["bash", "-o", "pipefail", "-c", f'"$@" {way}', "bash"]
    with served.process("status", "--json", study, within=shell) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert ("stdout cannot be written" in err) == bool(code)
    assert "Traceback" not in err


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_terminal_that_goes_leaves_the_work_to_itself(served: Served, term: str) -> None:
    """What the picture or the lines would have shown from then on is in the log."""
    study = served.study(f"hung-{term}", a="one")
    served.environ["TERM"] = term
    ours, theirs = os.openpty()
    terminal = os.ttyname(theirs)
    with served.process("run", study, within=_redirected(f">{terminal} 2>&1")) as process:
        os.read(ours, 1)
        os.close(theirs)
        os.close(ours)
        (study / "inputs" / "b.mrui").write_text("two")
        wait_until(lambda: "2 cases done" in _text(study / "STATUS.txt"))
        process.terminate()
        assert process.wait(60) == 130
    assert "Everything is here: 2 cases done" in (study / ".vipsync" / "vipsync.log").read_text()


def test_a_reader_that_goes_leaves_the_work_to_itself(served: Served) -> None:
    """`vipsync run | head -1` brings every result, and says nothing on stderr."""
    study = served.study("head", a="one")
    with served.process("run", "--once", study) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
        assert process.wait(60) == 0
    assert len(_results(study)) == 1


SCRIPT = """
from pathlib import Path
from vipsync import VipSession

signals = {"signal": sorted(Path("inputs").glob("*.mrui"))}
pipeline = "mrs-spectrum/1.0"
VipSession.init()
session = VipSession("script", "inputs", pipeline_id=pipeline, input_settings=signals)
session.run_session(refresh_time=0.2)
"""


@pytest.mark.parametrize("way", [">/dev/full 2>&1", "<&- >&- 2>&-", "| head -1"])
def test_a_script_that_nobody_hears_comes_to_its_end(served: Served, way: str) -> None:
    """What its session prints ends no step."""
    study = served.study(f"script-{len(way)}", a="one", ü="two")
    (study / "script.py").write_text(SCRIPT.replace('"script"', f'"script-{len(way)}"'))
    shell = ["sh", "-c", f'cd "$4"; PYTHONIOENCODING=ascii "$1" script.py {way}', "sh"]
    with served.process(study, within=shell) as process:
        process.communicate(timeout=60)
    assert len(list((study / "vip_outputs").rglob("*.txt"))) == 2


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", b"a\nb\xc3"])
def test_a_folder_below_a_name_that_is_no_text(served: Served, name: bytes) -> None:
    """From the first file to the end, and `status --json` is a document that can be read."""
    above = served.root / os.fsdecode(name)
    above.mkdir()
    study = served.study(f"odd-{name.hex()}", a="one").rename(above / "study")
    for command in (["run", "--once"], ["check"], ["status", "--json"], ["finish"]):
        with served.process(*command, study) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "fault" not in err
        if "--json" in command:
            assert json.loads(out)[0]["counts"] == {"done": 1}
    assert len(_results(study)) == 1


def test_a_log_on_a_full_disk_ends_no_work(served: Served) -> None:
    """Nor is anything said of it."""
    study = served.study("full-log", a="one")
    (study / ".vipsync").mkdir()
    (study / ".vipsync" / "vipsync.log").symlink_to("/dev/full")
    with served.process("-v", "run", "--once", study) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert len(_results(study)) == 1


def _write_slowly(path: Path, pieces: int, pause: float) -> bytes:
    content = os.urandom(4000 * pieces)
    with path.open("wb", buffering=0) as file:
        for number in range(pieces):
            file.write(content[number * 4000 : (number + 1) * 4000])
            time.sleep(pause)  # a writer's own pace
    return content


def _results(study: Path) -> list[Path]:
    return sorted(p for p in (study / "outputs").glob("*/*.tgz") if p.is_dir())


def _wait_for_results(study: Path, count: int) -> None:
    wait_until(lambda: len(_results(study)) == count, seconds=60)


def _stored(served: Served, session: str, name: str) -> bytes:
    home = served.world.root / "users" / "local_user" / "API"
    return (home / session / "INPUTS" / name).read_bytes()


def _uploads(served: Served) -> int:
    return sum(r.method == "PUT" and r.path.endswith(".mrui") for r in list(served.world.requests))
