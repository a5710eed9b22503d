"""One folder, several accounts: a group that shares it, readers, and those whom it does not concern."""

from __future__ import annotations

import encodings
import importlib
import os
import pkgutil
import resource  # noqa: F401
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import current_process, get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import watchdog.observers  # noqa: F401

import vipsync
from tests.lab.mounts import mounted, unmount
from tests.lab.served import Answer, Served, serve, wait_until
from vipsync.cli import main

LAB = 65534
ONE, TWO = f"2001:{LAB}", f"2002:{LAB}"
READER = "2003:2003"
LOOKS = ("status", "check", "plan", "why", "log")

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can become several accounts",
)


# A command of another account is a fork of a process that has loaded all of it: Python itself may lie
# where that account may not read, so nothing can be loaded later.
for _package in (vipsync, encodings):
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        if not _module.name.endswith("__main__"):
            with suppress(ImportError):  # those of other systems
                importlib.import_module(_module.name)

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@pytest.fixture
def served() -> Iterator[Served]:
    """Return an embedded VIP in a place that all accounts may look at, which tmp_path is not."""
    root = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    with TemporaryDirectory(dir=root) as place, serve(Path(place)) as found:
        found.root.chmod(0o755)
        (found.root / "state").mkdir(mode=0o777)
        yield found


def shared(served: Served, mode: int) -> Path:
    """Make a session folder of ONE, of the group LAB."""
    study = served.study(a="one")
    for path in (study, *study.rglob("*")):
        os.chown(path, 2001, LAB)
        path.chmod(mode if path.is_dir() else 0o664 & mode)
    return study


def add(study: Path, name: str) -> None:
    """Put another signal into the inputs."""
    (study / "inputs" / f"{name}.mrui").write_text(name)


@contextmanager
def process(
    served: Served, who: str, umask: str, *arguments: object
) -> Iterator[ForkServerProcess]:
    """Run the command as the account UID:GID; it is killed at the end."""
    words = [str(argument) for argument in arguments]
    made = _FORKS.Process(target=_live, args=(served.environ, served.root, who, umask, words))
    made.start()
    try:
        yield made
    finally:
        made.kill()
        made.join()


def said(served: Served, who: str, umask: str, *arguments: object) -> Answer:
    """Return what a command says to an account."""
    with process(served, who, umask, *arguments) as made:
        made.join(60)
        code = made.exitcode
    assert code is not None, "it did not end"
    out, err = ((served.root / f"{made.name}-{number}").read_text() for number in (1, 2))
    assert "fault" not in err, err
    assert "Traceback" not in err, err
    return Answer(code, out, err)


def _live(environ: dict[str, str], root: Path, who: str, umask: str, words: list[str]) -> None:
    for number in (1, 2):
        path = root / f"{current_process().name}-{number}"
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.update(environ)
    user, group = map(int, who.split(":"))
    os.umask(int(umask, 8))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    main(words)


def look(
    served: Served, study: Path, who: str, commands: Iterable[str] = LOOKS
) -> dict[str, Answer]:
    """Return what the commands that only look say to an account."""
    places = {"why": study / "inputs" / "a.mrui"}
    return {name: said(served, who, "022", name, places.get(name, study)) for name in commands}


def tree(root: Path) -> dict[Path, tuple[object, ...]]:
    """Return all that a reader must leave as it is."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in root.rglob("*")
    }


@pytest.mark.parametrize(("mode", "umask"), [(0o2775, "002"), (0o2770, "022")])
def test_accounts_of_a_group_take_turns(served: Served, mode: int, umask: str) -> None:
    """Each goes on with what another one did, and asks the one who runs."""
    study = shared(served, mode)
    for number, (who, name) in enumerate([(ONE, "a"), (TWO, "b"), (ONE, "c")], 1):
        add(study, name)
        assert said(served, who, umask, "run", "--once", study).code == 0
        assert len(list((study / "outputs").glob("*/*.tgz/*.txt"))) == number
    with process(served, ONE, umask, "run", study):
        wait_until(lambda: "vipsync runs here" in said(served, TWO, umask, "status", study).out)
        assert said(served, TWO, umask, "pause", study).code == 0
    assert said(served, TWO, umask, "resume", study).code == 0  # what a killed one left is taken up
    ours = [p for p in study.rglob("*") if p.parent != study / "inputs"]
    assert {p.stat().st_gid for p in ours} == {LAB}
    assert not [p for p in ours if not p.stat().st_mode & stat.S_IWGRP]


@pytest.mark.parametrize(("mode", "umask"), [(0o755, "022"), (0o2775, "002")])
def test_readers_are_told_all_and_change_nothing(served: Served, mode: int, umask: str) -> None:
    """While it runs, after it was killed, and after it ended well."""
    study = shared(served, mode)
    with process(served, ONE, umask, "run", study) as made:
        wait_until(lambda: list((study / "outputs").glob("*/*.tgz")) != [])
        during = look(served, study, READER, ("status", "plan"))
        made.kill()
        made.join()
    for commands in (LOOKS, ("status", "why")):
        before = tree(study)
        found = look(served, study, READER, commands)
        assert {answer.code for answer in found.values()} == {0}
        assert "is not running" in found["status"].out
        assert tree(study) == before
        assert said(served, ONE, umask, "run", "--once", study).code == 0
    assert {answer.code for answer in during.values()} == {0}
    assert "vipsync runs here" in during["status"].out


@pytest.mark.parametrize(("who", "killed"), [(ONE, True), (READER, False), ("0:0", True)])
def test_a_disk_that_is_read_only_can_be_asked(served: Served, who: str, *, killed: bool) -> None:
    """Whatever the last run left beside the ledger."""
    study = shared(served, 0o755)
    with process(served, ONE, "022", "run", study) as made:
        wait_until(lambda: list((study / "outputs").glob("*/*.tgz")) != [])
        (made.kill if killed else made.terminate)()
        made.join()
    mounted("mount", "--bind", str(study), str(study))
    with ExitStack() as stack:
        stack.callback(unmount, study)
        mounted("mount", "-o", "remount,ro,bind", str(study))
        found = look(served, study, who)
    assert [answer.code for answer in found.values()] == [0] * len(LOOKS)
    assert "Sent 2" in found["why"].out


def test_what_is_private_stays_so(served: Served) -> None:
    """With umask 077 nobody else sees anything, and is told so in a sentence."""
    study = shared(served, 0o2775)
    assert said(served, ONE, "077", "run", "--once", study).code == 0
    ours = [p for p in study.rglob("*") if (study / "inputs") not in (p, *p.parents)]
    open_to_others = [p for p in ours if p.stat().st_mode & 0o077 and p.name != "settings.toml"]
    assert open_to_others == []
    rest = [("rerun", "--all", "--yes"), ("run", "--once"), ("finish",), ("pause",)]
    found = [*look(served, study, TWO).values()]
    found += [said(served, TWO, "002", *command, study) for command in rest]
    assert {answer.code for answer in found} == {3}
    assert all("ermission denied" in answer.out + answer.err for answer in found)
