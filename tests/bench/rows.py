"""The rows of the table: each does one work with every contestant, in turn, in one run."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import contestants as who
from tests.bench.measured import Measure, call, command, median
from tests.bench.server import KEY, Conditions, Server, served
from vipsync.disk.archive import unpack
from vipsync.disk.scan import BUILT_IN_IGNORE, Scanner, ignore_rules

ROUNDS = 3


@dataclass
class Row:
    """What one work cost each contestant; the first one named "limit" is what can be reached."""

    work: str
    aim: str
    measures: dict[str, Measure] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def ratio(self, name: str) -> float | None:
        """Return how many times the limit a contestant took."""
        limit, mine = self.measures.get("limit"), self.measures.get(name)
        return mine.seconds / limit.seconds if limit and mine and limit.seconds else None


@contextmanager
def place(root: Path, name: str, conditions: Conditions) -> Iterator[tuple[Server, Path]]:
    """Serve VIP, and give a folder for the work; both go afterwards."""
    here = root / name
    here.mkdir()
    try:
        with served(here / "vip", conditions) as server:
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


def upload(root: Path, count: int, *, rounds: int = ROUNDS, with_client: bool = True) -> Row:
    """Rows 1 and 8: many small files go up; how many requests it takes."""
    row = Row(f"upload {count:,} files of 20 kB", "≤ 1.10 × limit, ≥ 7 × vip-client")
    with place(root, f"up{count}", Conditions(transfer=0.2, latency=0.01)) as (server, here):
        files = many_files(here / "data", count, 20_000)
        python = who.client_python(root)
        taken: dict[str, list[Measure]] = {"limit": [], "vipsync": [], "vip-client": []}
        for number in range(rounds):
            remote = f"/vip/Home/curl{number}"
            _make(server, remote)
            taken["limit"].append(who.curl_up(server, files, remote))
            study = who.study(here / f"study{number}", server, session=f"s{number}")
            for file in files:
                os.link(file, study / "inputs" / file.name)
            server.count()
            taken["vipsync"].append(who.vipsync_once(study))
            row.requests = server.count()
            if with_client and number == 0:  # alone it takes as long as all others together
                steps = f"VipSession(session_name='c{number}', input_dir='data').upload_inputs()"
                taken["vip-client"].append(who.vip_client(python, here, server, steps))
    row.measures = {name: median(found) for name, found in taken.items() if found}
    return row


def _make(server: Server, remote: str) -> None:
    (server.home / remote.rsplit("/", 1)[-1]).mkdir(parents=True, exist_ok=True)


def big_file(root: Path) -> tuple[Row, Row]:
    """Row 2: one file of 1 GiB goes up, and comes down as a result would."""
    up = Row("upload 1 GiB", "≤ 1.3 × limit, ≤ 90 MB")
    down = Row("download 1 GiB", "≤ 1.3 × limit, ≤ 90 MB")
    with place(root, "big", Conditions()) as (server, here):
        (path,) = many_files(here / "data", 1, 1)
        with path.open("wb") as file:
            for _ in range(1024):
                file.write(os.urandom(2**20))
        for number in range(ROUNDS):
            remote = f"/vip/Home/curl{number}"
            _make(server, remote)
            _add(up, "limit", who.curl_up(server, [path], remote))
            study = who.study(here / f"study{number}", server, session=f"s{number}")
            os.link(path, study / "inputs" / path.name)
            _add(up, "vipsync", who.vipsync_once(study))
            target = here / f"down{number}"
            _add(down, "limit", who.curl_down(server, [path.name], remote, target))
            _add(down, "vipsync", _fetch(server, f"{remote}/{path.name}", here / f"got{number}"))
            shutil.rmtree(target)
    return up, down


def _add(row: Row, name: str, measure: Measure) -> None:
    best = row.measures.get(name)
    if best is None or measure.seconds < best.seconds:
        row.measures[name] = Measure(
            measure.seconds, max(measure.memory, best.memory if best else 0)
        )


def _fetch(server: Server, vip: str, target: Path) -> Measure:
    """Download with vipsync's client in a process of its own, as `act` does it."""
    words = (
        "import sys, os; from vipsync.client.vip_client import VipClient\n"
        "client = VipClient(sys.argv[1], sys.argv[2])\n"
        "with open(sys.argv[4], 'wb') as out, client.download(sys.argv[3]) as found:\n"
        "    for block in found.blocks: out.write(block)\n"
        "    out.flush(); os.fsync(out.fileno())\n"
    )
    try:
        return command([sys.executable, "-c", words, server.url, KEY, vip, str(target)])
    finally:
        target.unlink(missing_ok=True)


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
        _add(row, "limit", command(["tar", "xzf", str(archive), "-C", str(out)]))
        shutil.rmtree(out)
        target = here / f"vipsync{number}"
        _add(row, "vipsync", call(lambda target=target: unpack(archive, target, here)))  # type: ignore[misc]
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
    scanner = Scanner(here, ignore_rules(BUILT_IN_IGNORE, (), ""), quiet_times=(0.0,))
    scanner.look()
    scanner.look(None)
    limits, ours = [], []
    for _ in range(ROUNDS):
        limits.append(call(lambda: _walk(here)))
        ours.append(call(lambda: scanner.look(None)))
    row.measures = {"limit": median(limits), "vipsync": median(ours)}
    shutil.rmtree(here)
    return row


def _walk(folder: Path | str) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            total += _walk(entry.path) if entry.is_dir() else entry.stat().st_size
    return total


def starting() -> list[Row]:
    """Row 10: what it takes to begin."""
    works: dict[str, list[str]] = {
        "import vipsync": ["-c", "import vipsync"],
        "vipsync --help": ["-m", "vipsync", "--help"],
    }
    return [_starting(work, words) for work, words in works.items()]


def _starting(work: str, words: list[str]) -> Row:
    row = Row(work, "≤ 0.25 s more than python -c pass")

    def taken(more: list[str]) -> Measure:
        return median([command([sys.executable, *more]) for _ in range(5)])

    row.measures = {"limit": taken(["-c", "pass"]), "vipsync": taken(words)}
    more = row.measures["vipsync"].seconds - row.measures["limit"].seconds
    row.note = f"{more:.2f} s more"
    return row
