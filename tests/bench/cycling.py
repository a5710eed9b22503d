"""Row 5: one whole cycle of a session that has nothing to do, and the memory that holds it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.measured import Measure
from tests.bench.rows import Row
from vipsync.folder.folder import SessionFolder, new_id
from vipsync.model import FileState, RelPath, VipPath
from vipsync.record.ledger import Ledger
from vipsync.rows import Changes, Known, SendStatus, Sent, Session

CYCLE = """
import json, os, resource, sys, time
from pathlib import Path
from vipsync.errors import KeyMissing
from vipsync.run.loop import Loop
from vipsync.status.publish import Publisher

def no_key(*_):
    raise KeyMissing("Nothing is to be sent.")

def walk(folder):
    with os.scandir(folder) as entries:
        return sum(walk(e.path) if e.is_dir() else e.stat().st_size for e in entries)

root, publisher = Path(sys.argv[1]), Publisher()
loop = Loop([root], no_key, publish=publisher.publish)
loop.turn()
(session,) = loop.sessions.values()
limits, cycles = [], []
for _ in range(5):
    began = time.perf_counter()
    walk(root / "inputs")
    limits.append(time.perf_counter() - began)
    session.observer.look_everywhere()
    loop._due.clear()
    began = time.perf_counter()
    loop.turn()
    cycles.append(time.perf_counter() - began)
    assert not session.queue and not session.snapshot.unsettled, session.plan
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([sorted(limits)[2], sorted(cycles)[2], most]))
loop.close()
"""


def cycling(root: Path, count: int) -> Row:
    """Observe, plan and publish where all inputs are known, were sent, and have not changed."""
    row = Row(f"one whole cycle over {count:,} known inputs", "≤ 2 × limit, ≤ 150 MB")
    study = root / f"cycle{count}"
    known_session(study, count)
    words = [sys.executable, "-c", CYCLE, str(study)]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
    limit, cycle, memory = json.loads(said)
    row.add("limit", Measure(limit))
    row.add("vipsync", Measure(cycle, memory))
    shutil.rmtree(study)
    return row


def known_session(study: Path, count: int, settings: str = "") -> None:
    """Make a session that was finished: each input is known, and went from VIP in the end."""
    known, sent = [], []
    for number in range(count):
        path = RelPath(f"{number // 500:04}/{number}.dat")
        file = study / "inputs" / path
        if number % 500 == 0:
            file.parent.mkdir(parents=True)
        file.touch()
        state, sha256 = FileState.of(file.stat()), f"{number:064}"
        known.append(Known(path, state, sha256))
        vip = VipPath(f"/vip/Home/API/study/INPUTS/{path}")
        sent.append(Sent(vip, path, state, SendStatus.REMOVED, sha256))
    (study / "settings.toml").write_text(settings)
    folder = SessionFolder(study)
    mine = folder.claim(new_id())
    ledger = Ledger(folder.ledger, Session(mine.id))
    ledger.commit(Changes(put=(*known, *sent)))
    ledger.close()
