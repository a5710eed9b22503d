"""The same with real sockets, processes and kills: `vipsync run` against a VIP that fails now and then.

Only faults after which vipsync tries again within seconds: nobody can wait two minutes for a
doubtful launch here. The others are tried on the virtual clock.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from tests.harness import SPECTRUM
from tests.served import KEY, SETTINGS, Served, serve, wait_until
from tests.soak.life import fit
from vipsync.local import Kind, World
from vipsync.record.ledger import read_state
from vipsync.rows import Phase

PATIENCE = 120.0

_LOOKS = ("GET *", "GET */path/*", "GET */executions/*")
_SILENT = (Kind.ANSWER_REFUSED, Kind.ANSWER_ERROR, Kind.ANSWER_LOST)
_ON_LOOKS = (*_SILENT, Kind.REFUSED, Kind.SERVER_ERROR, Kind.REQUEST_LOST, Kind.NOT_FOUND)
_ON_EFFECTS = ("PUT *", "POST *", "DELETE *")
_ON_PATHS = (
    Kind.UPLOAD_TIMES_OUT,
    Kind.UPLOAD_VANISHES,
    Kind.UPLOAD_WRONG_SIZE,
    Kind.DOWNLOAD_CUT,
    Kind.LISTING_WRONG_SIZE,
    Kind.REMOVAL_LATE,
)


def live_for_real(root: Path, seed: int) -> None:
    """Run a session with faults and kills to its end; raise AssertionError where that is wrong."""
    chance = random.Random(seed)
    signals = {f"s{n:02}": f"signal {n} {chance.random()}\n" for n in range(8)}
    with serve(root, fit, KEY, seconds=0.3, transfer_timeout=0.5) as served:
        served.world.pipelines.add(SPECTRUM)
        study = served.study(settings=SETTINGS.replace("mrs-spectrum/1.0", "spectrum/1"))
        _arm(chance, served.world)
        said = []
        for part in (list(signals)[:3], list(signals)[3:6]):
            _drop(study, {name: signals[name] for name in part})
            said.append(_run_and_kill(served, study, chance.uniform(0.3, 2.5)))
        _drop(study, signals)
        _arm(chance, served.world)
        said.append(_run_to_the_end(served, study, signals))
        _check(served, study, signals)
        assert KEY not in "".join(said), "the key was said"


def _arm(chance: random.Random, world: World) -> None:
    for _ in range(chance.randint(1, 4)):
        drawn, times = chance.random(), chance.choice([1, 1, 2])
        if drawn < 0.3:
            world.faults.arm(chance.choice(_ON_LOOKS), chance.choice(_LOOKS), times=times)
        elif drawn < 0.6:
            world.faults.arm(chance.choice(_SILENT), chance.choice(_ON_EFFECTS), times=times)
        elif drawn < 0.7:
            world.faults.arm(Kind.UNAUTHORIZED, "GET *")
        else:
            world.faults.arm(chance.choice(_ON_PATHS), seconds=1.0)


def _drop(study: Path, signals: dict[str, str]) -> None:
    for name, text in signals.items():
        path = study / "inputs" / f"{name}.mrui"
        if not path.exists():
            path.write_text(text)


def _run_and_kill(served: Served, study: Path, seconds: float) -> str:
    """Let a process work for a while, kill it, return what it said."""
    with served.process("run", study, module="tests.hasty") as process:
        time.sleep(seconds)  # the moment of death is what is tried here
        assert KEY not in _command_line(process.pid)
        process.kill()
        return "".join(process.communicate())


def _run_to_the_end(served: Served, study: Path, signals: dict[str, str]) -> str:
    with served.process("run", study, module="tests.hasty") as process:
        wait_until(lambda: len(_results(study)) == len(signals), PATIENCE)
        wait_until((study / "ON_VIP.txt").exists, PATIENCE)
        (study / "ON_VIP.txt").unlink()
        wait_until(lambda: _phase(study) is Phase.CLOSED, PATIENCE)
        process.terminate()
        return "".join(process.communicate(timeout=PATIENCE))


def _check(served: Served, study: Path, signals: dict[str, str]) -> None:
    texts = Counter(p.read_text() for p in _results(study))
    assert texts == Counter(signals.values()), "a result is missing, or there twice"
    names = [e.name for e in served.world.executions.all()]
    assert len(names) == len(set(names)), "an execution was started twice"
    assert sum(len(e.tasks) for e in served.world.executions.all()) == len(signals)
    assert served.on_vip() == [], "something is left on VIP"
    left = [p.name for p in (study / ".vipsync" / "transfers").iterdir()]
    assert left == [], f"something half is left: {left}"
    here = {p.stem: p.read_text() for p in (study / "inputs").iterdir()}
    assert here == signals, "an input was changed"
    for file in _files_outside(served):
        assert KEY.encode() not in file.read_bytes(), f"the key is in {file}"


def _results(study: Path) -> list[Path]:
    return list((study / "outputs").glob("*/*.tgz/fit.txt"))


def _phase(study: Path) -> Phase:
    return read_state(study / ".vipsync" / "ledger.sqlite").session.phase


def _files_outside(served: Served) -> list[Path]:
    """Return every file that vipsync may have written, anywhere."""
    found = served.root.rglob("*")
    return [p for p in found if p.is_file() and not p.is_relative_to(served.world.root)]


def _command_line(pid: int) -> str:
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_text() if path.exists() else ""
