"""Twelve ways in which programs write a file: VIP gets what they wrote in the end, and gets it once.

The writers are real, work at their own pace, and all at once, while `vipsync run` keeps the folder.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab.served import Served, serve, wait_until
from vipsync.local.runner import Content, Job, sample_outputs

SETTLE = 1.0
TRANSFER = 0.5
LONG_AGO = 978_307_200
"""Seconds since the epoch: what keeps a file's time must not make it look quiet."""

SETTINGS = f"""\
pipeline_id = "mrs-spectrum/1.0"

[input_settings]
signal = "{{folder}}/{{file}}.mrui"

[inputs]
settle = "{SETTLE}s"
upload = "all"

[monitor]
refresh_time = "500ms"
"""


@dataclass
class Writing:
    """One file while it is written. `quiet` is for how long nobody could see it change, at most."""

    served: Served
    target: Path
    aside: Path
    content: bytes
    chance: random.Random
    quiet: float = 0.0
    _since: float = field(default=float("inf"))

    @property
    def name(self) -> str:
        """What identifies the file, wherever it lies."""
        return self.target.name

    @property
    def source(self) -> Path:
        """A file elsewhere with the final content and old times."""
        path = self.aside / self.name
        path.write_bytes(self.content)
        os.utime(path, (LONG_AGO, LONG_AGO))
        return path

    @contextmanager
    def change(self) -> Iterator[None]:
        """Note for how long there was nothing to see before this change."""
        began = time.monotonic()
        yield
        self.quiet = max(self.quiet, time.monotonic() - min(self._since, began))
        self._since = began

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Give the content in some pieces, with a pause after each."""
        step = -(-len(self.content) // self.chance.randint(3, 6))
        for start in range(0, len(self.content), step):
            yield start, self.content[start : start + step]
            time.sleep(self.chance.uniform(0.0, 0.6) * SETTLE)  # a writer's own pace

    def run(self, *words: object) -> None:
        """Let another program write."""
        with self.change():
            subprocess.run([str(word) for word in words], check=True, timeout=60)


def slow_append(writing: Writing) -> None:
    _append(writing, writing.target)


def _append(writing: Writing, path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        for _, piece in writing.pieces():
            with writing.change():
                file.write(piece)


def preallocate(writing: Writing) -> None:
    with writing.target.open("wb", buffering=0) as file:
        with writing.change():
            os.truncate(file.fileno(), len(writing.content))
        for start, piece in writing.pieces():
            with writing.change():
                os.pwrite(file.fileno(), piece, start)


def temp_and_rename(writing: Writing) -> None:
    ending = writing.chance.choice(["part", "tmp", "filepart", "crdownload"])
    temporary = writing.target.with_name(f"{writing.name}.{ending}")
    with temporary.open("wb", buffering=0) as file:
        for _, piece in writing.pieces():
            file.write(piece)
            time.sleep(SETTLE / 2)  # under a name that says so, it may be quiet for long
    temporary.rename(writing.target)


def cp_p(writing: Writing) -> None:
    writing.run("cp", "-p", writing.source, writing.target)


def rsync(writing: Writing) -> None:
    if shutil.which("rsync"):
        writing.run("rsync", "--times", "--bwlimit=200", writing.source, writing.target)
        return
    temporary = writing.target.with_name(f".{writing.name}.Q8sT2x")
    for _, piece in writing.pieces():
        with temporary.open("ab", buffering=0) as file:
            file.write(piece)
    os.utime(temporary, (LONG_AGO, LONG_AGO))
    temporary.rename(writing.target)


def tar(writing: Writing) -> None:
    archive = writing.aside / "one.tar"
    subprocess.run(
        ["tar", "-cf", archive, "-C", writing.aside, writing.source.name], check=True, timeout=60
    )
    writing.run("tar", "-xf", archive, "-C", writing.target.parent)


def copy_with_pauses(writing: Writing) -> None:
    """Look the same at two looks in a row, again and again, then take the source's times."""
    with writing.target.open("wb", buffering=0) as file:
        for _, piece in writing.pieces():
            with writing.change():
                file.write(piece)
            time.sleep(0.25 * SETTLE)
    with writing.change():
        os.utime(writing.target, (LONG_AGO, LONG_AGO))


def reopen(writing: Writing) -> None:
    for _, piece in writing.pieces():
        with writing.change(), writing.target.open("ab") as file:
            file.write(piece)


def hard_link(writing: Writing) -> None:
    writing.target.hardlink_to(writing.source)


def moved_folder(writing: Writing) -> None:
    away = writing.aside / "folder"
    away.mkdir()
    (away / writing.name).write_bytes(writing.content)
    away.rename(writing.target.parent)


def memory_map(writing: Writing) -> None:
    with writing.target.open("w+b") as file:
        with writing.change():
            file.truncate(len(writing.content))
        with mmap.mmap(file.fileno(), 0) as memory:
            for start, piece in writing.pieces():
                with writing.change():
                    memory[start : start + len(piece)] = piece
                    memory.flush()


def rewrite_during_upload(writing: Writing) -> None:
    """Write other content while VIP is still busy with the first: the same size, or not."""
    first = os.urandom(len(writing.content) - writing.chance.choice([0, 1]))
    writing.target.write_bytes(first)
    wait_until(lambda: bool(uploads(writing.served)[writing.name]), 120)
    writing.target.write_bytes(writing.content)


WRITERS: tuple[Callable[[Writing], None], ...] = (
    slow_append,
    preallocate,
    temp_and_rename,
    cp_p,
    rsync,
    tar,
    copy_with_pauses,
    reopen,
    hard_link,
    moved_folder,
    memory_map,
    rewrite_during_upload,
)


def uploads(served: Served) -> Mapping[str, list[str]]:
    """Return where each file was sent, by its name."""
    found = defaultdict(list)
    for request in list(served.world.requests):
        if request.method == "PUT" and "/INPUTS/" in request.path and "." in request.path:
            found[Path(request.path).name].append(request.path)
    return found


def _new_writing(
    served: Served, study: Path, writer: Callable[[Writing], None], number: int
) -> Writing:
    kind = writer.__name__.replace("_", "-")
    name = f"{kind}-{number:02}"
    chance = random.Random(name)
    folder = study / "inputs" / (name if writer is moved_folder else kind)
    if writer is not moved_folder:
        folder.mkdir(exist_ok=True)
    aside = served.root / "aside" / name
    aside.mkdir(parents=True)
    content = chance.randbytes(chance.randint(20_000, 200_000))
    return Writing(served, folder / f"{name}.mrui", aside, content, chance)


def _check(times: int, spread: float, tmp_path: Path) -> None:
    """Let every writer write some files within `spread` seconds, and look at what came of them."""
    ran: defaultdict[str, list[str]] = defaultdict(list)

    def work(job: Job) -> Mapping[str, Content] | int:
        for path in filter(None, job.files.values()):
            ran[path.name].append(hashlib.sha256(path.read_bytes()).hexdigest())
        return sample_outputs(job)

    with serve(tmp_path, work, transfer_delay=TRANSFER) as served:
        study = served.study("written", SETTINGS)
        todo = [(w, _new_writing(served, study, w, n)) for n in range(times) for w in WRITERS]
        final = {w.name: hashlib.sha256(w.content).hexdigest() for _, w in todo}

        def begin(writer: Callable[[Writing], None], writing: Writing) -> None:
            time.sleep(writing.chance.uniform(0.0, spread))  # they come when they come
            writer(writing)

        with served.process("run", study) as process, ThreadPoolExecutor(len(todo)) as writers:
            wait_until(lambda: (study / ".vipsync" / "ledger.sqlite").exists())
            for ended in [writers.submit(begin, *one) for one in todo]:
                ended.result()
            wait_until(lambda: all(ran[n][-1:] == [final[n]] for n in final), 240)
            process.send_signal(signal.SIGINT)
            process.wait(30)
        sent = uploads(served)
        with served.process("run", "--once", study) as process:
            assert process.wait(60) == 0
        assert uploads(served) == sent, "there was nothing left to send"

    assert sent.keys() == final.keys(), "nothing else was sent, such as a temporary name"
    places = Counter(path for paths in sent.values() for path in paths)
    assert set(places.values()) == {1}, "nothing on VIP is ever replaced"
    for writer, writing in todo:
        if writer is rewrite_during_upload:
            assert len(sent[writing.name]) == 2
            assert len(set(ran[writing.name])) == len(ran[writing.name])
        elif writing.quiet < SETTLE:  # a busy machine may hold a writer back for longer than that
            assert len(sent[writing.name]) == 1, f"{writing.name}, quiet for {writing.quiet:.2f} s"
            assert len(ran[writing.name]) == 1


def test_each_writer(tmp_path: Path) -> None:
    """However a file is written, a job gets its final content, and it was sent once."""
    _check(times=1, spread=1.0, tmp_path=tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_each_writer_often(tmp_path: Path) -> None:
    """240 files, written in twelve ways within half a minute: the same, whatever else goes on."""
    _check(times=20, spread=30.0, tmp_path=tmp_path)
