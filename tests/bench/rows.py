"""The rows of the table: each does one work with every contestant, in turn, in one run."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench import contestants as who
from tests.bench.alone import walk
from tests.bench.measured import ROOT, Measure, alone, call, command, median
from tests.bench.server import KEY, RESULTS, Conditions, Server, served
from vipsync.disk.archive import unpack
from vipsync.disk.ignoring import BUILT_IN_IGNORE, IgnoreRules
from vipsync.disk.scan import Scanner

ROUNDS = 3
STARTS = 15
MEMORY = next((p for p in (Path("/dev/shm"),) if os.access(p, os.W_OK)), None)
"""Where the server keeps its files: its disk is not what is measured."""


@dataclass
class Row:
    """What one work cost each contestant; the first one named "limit" is what can be reached."""

    work: str
    aim: str
    runs: dict[str, list[Measure]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def add(self, name: str, measure: Measure) -> None:
        """Take in one run of a contestant."""
        self.runs.setdefault(name, []).append(measure)

    @property
    def measures(self) -> dict[str, Measure]:
        """Return the median of each contestant's runs."""
        return {name: median(runs) for name, runs in self.runs.items()}

    def ratio(self, name: str) -> float | None:
        """Return how many times the limit a contestant took."""
        limit, mine = self.measures.get("limit"), self.measures.get(name)
        return mine.seconds / limit.seconds if limit and mine and limit.seconds else None

    def document(self) -> dict[str, object]:
        """Return everything that is known of the row, for programs."""
        medians = {name: asdict(measure) for name, measure in self.measures.items()}
        counted = {"requests": dict(self.requests)}  # asdict knows no Counter
        return {
            **asdict(self),
            **counted,
            "medians": medians,
            "times the limit": self.ratio("vipsync"),
        }


@contextmanager
def place(root: Path, name: str, conditions: Conditions) -> Iterator[tuple[Server, Path]]:
    """Serve VIP from memory where there is some to use, and give a folder for the work; both go."""
    here = root / name
    here.mkdir()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="vipsync-bench-", dir=MEMORY) as vip,
            served(Path(vip), conditions) as server,
        ):
            yield server, here
    finally:
        shutil.rmtree(here, ignore_errors=True)


def many_files(folder: Path, count: int, size: int) -> list[Path]:
    """Fill a folder with files that cannot be compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.bin" for number in range(count)]
    for path in paths:
        path.write_bytes(os.urandom(size))
    return paths


def upload(root: Path, count: int, client_rounds: int = 1) -> tuple[Row, Row]:
    """Many small files go up: the whole command, and what lies between first request and last answer."""
    row = Row(f"upload {count:,} files of 20 kB", "≤ 1.12 × limit")
    span = Row("first request to last answer of it", "≤ 1.03 × limit")
    with place(root, f"up{count}", Conditions(transfer=0.2, latency=0.01)) as (server, here):
        files = many_files(here / "data", count, 20_000)
        python = who.client_python(root) if client_rounds else Path()
        for number in range(ROUNDS):
            remote = f"/vip/Home/curl{number}"
            _make(server, remote)
            server.span()
            row.add("limit", who.curl_up(server, files, remote))
            span.add("limit", Measure(server.span()))
            study = who.study(here / f"study{number}", server, session=f"s{number}")
            for file in files:
                os.link(file, study / "inputs" / file.name)
            server.count()
            row.add("vipsync", who.vipsync_once(study, server))
            span.add("vipsync", Measure(server.span()))
            row.requests = server.count()
            if number < client_rounds:  # one takes as long as all others together
                steps = f"VipSession(session_name='c{number}', input_dir='data').upload_inputs()"
                row.add("vip-client", who.vip_client(python, here, server, steps))
                server.span()
    return row, span


def _make(server: Server, remote: str) -> None:
    (server.home / remote.rsplit("/", 1)[-1]).mkdir(parents=True, exist_ok=True)


def big_file(root: Path) -> tuple[Row, Row]:
    """Row 2: one file of 1 GiB goes up, and comes down as a result would."""
    up = Row("upload 1 GiB", "≤ 1.8 × limit, ≤ 60 MB")
    down = Row("download 1 GiB", "≤ 1.8 × limit, ≤ 60 MB")
    with place(root, "big", Conditions()) as (server, here):
        (path,) = many_files(here / "data", 1, 1)
        with path.open("wb") as file:
            for _ in range(1024):
                file.write(os.urandom(2**20))
        for number in range(ROUNDS):
            remote = f"/vip/Home/curl{number}"
            _make(server, remote)
            up.add("limit", who.curl_up(server, [path], remote))
            study = who.study(here / f"study{number}", server, session=f"s{number}")
            os.link(path, study / "inputs" / path.name)
            up.add("vipsync", who.vipsync_once(study, server))
            target = here / f"down{number}"
            down.add("limit", who.curl_down(server, [path.name], remote, target))
            down.add("vipsync", _fetch(server, f"{remote}/{path.name}", 2**30, here / "got"))
            shutil.rmtree(target)
            shutil.rmtree(server.home)
    return up, down


def _fetch(server: Server, vip: str, size: int, root: Path) -> Measure:
    try:
        return command(alone("fetch", server.url, KEY, vip, size, root), ROOT)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def downloads(root: Path, count: int = 500) -> Row:
    """Row 3: the results of an execution come down, by a whole `vipsync run --once`."""
    row = Row(f"download {count} results of 200 kB", "≤ 1.10 × limit")
    conditions = Conditions(transfer=0.2, latency=0.01)
    with place(root, "down", conditions) as (server, here):
        signals = ", ".join(f'"{number:03}"' for number in range(count))
        settings = (
            f'pipeline_id = "{RESULTS}"\n[input_settings]\nbasis = "basis.zip"\nsignal = [{signals}]\n'
            f"[launch]\nmax_jobs = {count}\nconfirm_above = {count}\n"
        )
        for number in range(ROUNDS):
            name = f"s{number}"
            study = who.study(here / name, server, settings + NOTHING_YET, name)
            (study / "inputs" / "basis.zip").write_bytes(b"basis")
            who.vipsync_once(study, server)
            who.study(here / name, server, settings, name)
            folder = next((server.home / "API" / name / "OUTPUTS").iterdir())
            names = [path.name for path in folder.iterdir()]
            assert len(names) == count
            remote = f"/vip/Home/{folder.relative_to(server.home)}"
            row.add("limit", who.curl_down(server, names, remote, here / f"curl{number}"))
            server.count()
            row.add("vipsync", who.vipsync_once(study, server))
            row.requests = server.count()
            assert len(list((study / "outputs").glob("*/*.bin"))) == count
    return row


NOTHING_YET = '[outputs]\nonly = ["nothing"]\n'


def unpacking(root: Path) -> list[Row]:
    """Row 4: archives of many small and of few big files."""
    return [
        _unpacking(root, "unpack a tgz of 10,000 files, 200 MB", 10_000, 20_000),
        _unpacking(root, "unpack a tgz of 4 files, 1 GB", 4, 250_000_000),
    ]


def _unpacking(root: Path, work: str, count: int, size: int) -> Row:
    row, here = Row(work, "≤ 1.3 × limit"), root / "unpack"
    here.mkdir()
    archive = here / "a.tgz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for number in range(count):
            info = tarfile.TarInfo(f"d{number % 50}/f{number}")
            info.size = size
            half = os.urandom(size // 2)
            tar.addfile(info, io.BytesIO(half + bytes(size - len(half))))
    for number in range(ROUNDS):
        out = here / f"tar{number}"
        out.mkdir()
        row.add("limit", command(["tar", "xzf", str(archive), "-C", str(out)]))
        shutil.rmtree(out)
        target = here / f"vipsync{number}"
        row.add("vipsync", call(lambda target=target: unpack(archive, target, here)))  # type: ignore[misc]
        shutil.rmtree(target)
    shutil.rmtree(here)
    return row


def scanning(root: Path, count: int) -> Row:
    """Row 5: look at inputs of which none has changed."""
    row, here = Row(f"look at {count:,} unchanged inputs", "≤ 2 × limit, ≤ 150 MB"), root / "scan"
    for number in range(count):
        folder = here / f"{number // 500:04}"
        if number % 500 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number}.dat").touch()
    scanner = Scanner(here, IgnoreRules(BUILT_IN_IGNORE, (), ""), quiet_times=(0.0,))
    scanner.look()
    scanner.look(None)
    for _ in range(ROUNDS):
        row.add("limit", call(lambda: walk(here)))
        row.add("vipsync", call(lambda: scanner.look(None)))
    shutil.rmtree(here)
    return row


def starting(root: Path) -> list[Row]:
    """Row 10: what it takes to begin."""
    with place(root, "start", Conditions()) as (server, here):
        idle = who.study(here / "idle", server)
        (idle / "inputs" / "a.dat").write_text("one")
        who.vipsync_once(idle, server)
        return _starting(str(idle), server)


def _starting(idle: str, server: Server) -> list[Row]:
    works = (
        ("import vipsync", 5, ["-c", "import vipsync"]),
        ("vipsync --help", 5, ["-m", "vipsync", "--help"]),
        ("vipsync status, an idle folder", 18, ["-m", "vipsync", "status", idle]),
        ("vipsync run --once, an idle folder", 30, ["-m", "vipsync", "run", "--once", idle]),
    )
    rows = [Row(work, f"≤ {times} × python -c pass") for work, times, _ in works]
    for _ in range(STARTS):  # in turn, so that what else the machine does is shared
        for row, (_, _, words) in zip(rows, works, strict=True):
            row.add("limit", command([sys.executable, "-c", "pass"]))
            row.add("vipsync", command([sys.executable, *words], environ=server.environ))
    for row in rows:
        found = row.measures
        row.note = f"{found['vipsync'].seconds - found['limit'].seconds:.2f} s more"
    return rows
