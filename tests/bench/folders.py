"""The rows about folders that live on: planning, one cycle, a new file, many folders at rest."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

from tests.bench.measured import ROOT, Living, Measure, alone, command, keeping
from tests.bench.rows import Row, place
from tests.bench.server import Conditions, Server
from vipsync.folder.folder import SessionFolder, new_id
from vipsync.model import FileState, RelPath, VipPath
from vipsync.observe.observer import gate_version
from vipsync.privacy.policy import fingerprint
from vipsync.record.digests import names_digest
from vipsync.record.ledger import Ledger
from vipsync.rows import Changes, Checked, Found, Known, SendStatus, Sent, Session
from vipsync.settings.reading import parse


def planning(count: int) -> Row:
    """Row: plan and record many inputs, with cases of ten files each."""
    row = Row(f"plan and record {count:,} inputs", "linear; a million in ≤ 100 s, ≤ 1.2 GB")
    row.add("vipsync", command(alone("plan", count), ROOT))
    row.note = f"{count // 10:,} cases, no I/O"
    return row


def cycling(root: Path, count: int) -> Row:
    """Row 5: observe, plan and publish where all inputs are known, were sent, and have not changed."""
    row = Row(f"one whole cycle over {count:,} known inputs", "≤ 1.5 × limit, ≤ 130 MB")
    study = root / f"cycle{count}"
    known_session(study, count)
    said = subprocess.run(
        alone("cycle", study), cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    limit, cycle, memory = json.loads(said)
    row.add("limit", Measure(limit))
    row.add("vipsync", Measure(cycle, memory))
    shutil.rmtree(study)
    return row


def known_session(study: Path, count: int, settings: str = "") -> None:
    """Make a session that was finished: each input is known, was judged, and went from VIP in the end."""
    known, sent, checked = [], [], []
    read = parse(settings.encode(), study.name)
    gate = f"{gate_version()} {fingerprint(read.privacy)[:24]}"
    called = names_digest((read.session_name,))
    for number in range(count):
        path = RelPath(f"{number // 500:04}/{number}.dat")
        file = study / "inputs" / path
        if number % 500 == 0:
            file.parent.mkdir(parents=True)
        file.touch()
        state, sha256 = FileState.of(file.stat()), f"{number:064}"
        known.append(Known(path, state, sha256))
        checked.append(Checked(path, sha256, gate, called, TOLD))
        vip = VipPath(f"/vip/Home/API/study/INPUTS/{path}")
        sent.append(Sent(vip, path, state, SendStatus.REMOVED, sha256))
    (study / "settings.toml").write_text(settings)
    folder = SessionFolder(study)
    mine = folder.claim(new_id())
    ledger = Ledger(folder.ledger, Session(mine.id))
    ledger.commit(Changes(put=(*known, *checked, *sent)))
    ledger.close()


TOLD = Found(told=(("InstitutionName", 1), ("StudyDate", 1)), unchecked=("faces", "pixels"))

DROPPED = 15
SETTLE = 1.0
BETWEEN = 2.0
"""Seconds after an upload in which its job is started and ends."""

INOTIFY = 0.005
"""Seconds in which a program that only waits for events can begin."""

NOTICING = """\
portal = "{url}"
pipeline_id = "mrs-spectrum/1.0"
session_name = "s{others}"
[input_settings]
signal = "new/*.mrui"
[inputs]
settle = "{settle}s"
[monitor]
refresh_time = "30s"
"""


def noticing(root: Path, others: int) -> Row:
    """Row 6: drop files one after another beside `others` that no setting uses."""
    work = f"notice a file beside {others:,} others"
    with place(root, f"notice{others}", Conditions()) as (server, here):
        study = here / "study"
        (study / "inputs" / "new").mkdir(parents=True)
        for number in range(others):
            folder = study / "inputs" / f"{number // 500:04}"
            if number % 500 == 0:
                folder.mkdir()
            (folder / f"{number}.dat").touch()
        settings = NOTICING.format(url=server.url, others=others, settle=SETTLE)
        (study / "settings.toml").write_text(settings)
        with keeping(study, server) as process:
            _drop(server, study, "first")  # it also waits for the first full look
            taken = [_drop(server, study, f"{number:02}") for number in range(DROPPED)]
            memory = process.memory
    row = Row(work, "median ≤ 50 ms")
    row.add("limit", Measure(INOTIFY))
    for seconds in taken:
        row.add("vipsync", Measure(seconds, memory))
    row.note = f"{1000 * row.measures['vipsync'].seconds:.0f} ms, at most {1000 * max(taken):.0f}"
    return row


def _drop(server: Server, study: Path, name: str) -> float:
    """Write a file; return the seconds from its end to its upload, its quiet time taken off."""
    with (study / "inputs" / "new" / f"{name}.mrui").open("w") as file:
        file.write(f"signal {name}")
    closed = time.monotonic()
    while not (found := [at for path, at in server.arrivals().items() if f"/{name}.mrui" in path]):
        if time.monotonic() > closed + 120:
            raise RuntimeError(f"{name} was never sent")
        time.sleep(0.1)
    time.sleep(BETWEEN)
    return found[0] - closed - SETTLE


FOLDERS = 200
FILES = 500
WATCHED = 60.0
"""Seconds over which it is measured."""

RESTING = """\
portal = "{url}"
[inputs]
settle = "0s"
"""


def resting(root: Path, folders: int = FOLDERS, files: int = FILES) -> Row:
    """Row 7: keep folders whose files are all known, were sent, and have not changed."""
    work = f"{folders} folders of {files} files at rest, for {WATCHED:.0f} s"
    row = Row(work, "≤ 0.5 % of a core, ≤ 190 MB, no requests")
    with place(root, "rest", Conditions()) as (server, here):
        many = here / "many"
        for number in range(folders):
            settings = RESTING.format(url=server.url)
            known_session(many / f"study{number:03}", files, settings)
        with keeping(many, server) as process:
            _wait_for_rest(server, process)
            server.count()
            before = process.cpu
            time.sleep(WATCHED)
            row.add("limit", Measure(WATCHED / 100))
            row.add("vipsync", Measure(process.cpu - before, process.memory))
            row.requests = server.count()
    share = row.measures["vipsync"].seconds / WATCHED
    row.note = f"{share:.2%} of a core, {row.requests.total()} requests"
    return row


def _wait_for_rest(server: Server, process: Living) -> None:
    """Wait until nothing was asked, and hardly anything done, for a while."""
    quiet = 0
    while quiet < 5:
        before = process.cpu
        time.sleep(2)
        quiet = quiet + 1 if not server.count() and process.cpu - before < 0.1 else 0
