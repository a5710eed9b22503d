"""A small VIP for the planner: what lies there, what runs there, and what each job was given.

It knows nothing of what the planner believes, so that it can bear witness afterwards.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from pathlib import PurePosixPath
from typing import NamedTuple

from vipsync.model import Execution, ExecutionStatus, Job, RemoteEntry, VipPath, replace
from vipsync.names import parent
from vipsync.rows import Launch

Parts = tuple[tuple[str, str], ...]
"""What something was made of: paths of this machine, and their contents."""

API = VipPath("/vip/Home/API")
RESULT_SIZE = 5


class Blob(NamedTuple):
    """A file on VIP: what it was made of, and its size there."""

    parts: Parts
    size: int


def is_below(path: VipPath, *folders: VipPath) -> bool:
    """Tell whether a path is one of these folders, or lies in one."""
    return any(f"{path}/".startswith(f"{folder}/") for folder in folders)


@dataclass(repr=False)
class FakeVip:
    """Folders, files, executions with the polls they still need, and the jobs of each."""

    chance: random.Random
    dot: frozenset[str] = frozenset()
    own: tuple[str, ...] = ("data",)
    folders: set[VipPath] = field(default_factory=lambda: {VipPath("/vip/Home")})
    files: dict[VipPath, Blob] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    jobs: dict[str, list[Parts]] = field(default_factory=dict)
    writes: dict[str, list[VipPath]] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    may_fail: bool = False
    polls: tuple[int, ...] = (1,)
    """After how many polls an execution may have ended, of the first `slow` ones."""
    slow: int = 9
    lost: dict[VipPath, Blob] = field(default_factory=dict)
    """What was here once."""
    ever: set[tuple[str, str]] = field(default_factory=set)
    """The paths and contents of all files that once came here."""

    def exists(self, path: VipPath) -> bool:
        """Tell whether there is anything."""
        return path in self.folders or path in self.files

    def entries(self, folder: VipPath) -> tuple[RemoteEntry, ...]:
        """Return what lies directly in a folder."""
        there = [RemoteEntry(path, True) for path in self.folders]
        there += [RemoteEntry(path, False, blob.size) for path, blob in self.files.items()]
        here = (entry for entry in there if parent(entry.path) == folder)
        return tuple(sorted(here, key=lambda entry: entry.path))

    def ids(self, home: VipPath) -> tuple[str, ...]:
        """Return whose ids lie in a session's folder."""
        marks = f"{home}/vipsync-"
        return tuple(sorted(p.removeprefix(marks) for p in self.folders if p.startswith(marks)))

    def others(self, home: VipPath) -> list[RemoteEntry]:
        """Return what lies in a session's folder besides ids."""
        return [e for e in self.entries(home) if not e.path.startswith(f"{home}/vipsync-")]

    def store(self, path: VipPath, blob: Blob) -> None:
        """Store a file; what is there is never replaced (facts 3.6)."""
        assert parent(path) in self.folders, f"sent to {path}, whose folder is not there"
        assert path not in self.files, f"sent to {path}, where something lies"
        self.files[path] = blob
        self.ever.update(blob.parts)

    def remove(self, path: VipPath) -> None:
        """Remove a folder and everything in it."""
        self.folders = {folder for folder in self.folders if not is_below(folder, path)}
        for file in [file for file in self.files if is_below(file, path)]:
            self.lose(file)

    def lose(self, path: VipPath) -> None:
        """Let a file go, and remember what it was."""
        self.lost[path] = self.files.pop(path)

    # executions

    def jobs_of(self, launch: Launch) -> list[dict[str, VipPath]]:
        """Return the inputs of each job: lists under `dot` go together, others are crossed."""
        paired = [name for name in launch.values if name in self.dot]
        crossed = [name for name in launch.values if name not in self.dot]
        rows = list(zip(*(launch.values[n] for n in paired), strict=True)) if paired else [()]
        return [
            dict(zip(paired + crossed, map(VipPath, (*row, *choice)), strict=True))
            for row in rows
            for choice in product(*(launch.values[name] for name in crossed))
        ]

    def parts_of(self, job: dict[str, VipPath]) -> Parts:
        """Return what makes the case of a job: its own files as they lie on VIP."""
        blobs = [self.files.get(path) or self.lost[path] for path in map(job.__getitem__, self.own)]
        return tuple(sorted(part for blob in blobs for part in blob.parts))

    def start(self, launch: Launch) -> Execution:
        """Start an execution."""
        jobs = self.jobs_of(launch)
        names = [f"{PurePosixPath(job[self.own[0]]).name}.tgz" for job in jobs]
        assert len(set(names)) == len(names), f"two jobs of one execution would write {names}"
        id_ = f"e{len(self.executions) + 1}"
        folder = VipPath(f"{launch.results_location}/{id_}")
        self.jobs[id_] = [self.parts_of(job) for job in jobs]
        self.writes[id_] = [VipPath(f"{folder}/{name}") for name in names]
        self.left[id_] = self.chance.choice(self.polls) if len(self.jobs) <= self.slow else 1
        made = Execution(id_, launch.name, launch.pipeline_id, ExecutionStatus.RUNNING)
        self.executions[id_] = made
        return made

    def poll(self, id_: str) -> Execution:
        """Let an execution advance by one step: its folder, some results, its end."""
        now = self.executions[id_]
        if now.status.ended:
            return now
        self.left[id_] -= 1
        folder = parent(self.writes[id_][0])
        now = replace(now, input_values={"results-directory": folder})
        if self.left[id_] <= 0:
            now = self._ended(now)
        elif self.left[id_] == 1:
            self._write(id_, self.writes[id_][:1])
            now = replace(now, returned_files={"out": tuple(self.writes[id_][:1])})
        self.executions[id_] = now
        return now

    def kill(self, id_: str) -> None:
        """Stop an execution; one that has ended counts as killed from now on (facts 5.11)."""
        self.executions[id_] = replace(self.executions[id_], status=ExecutionStatus.KILLED)

    def _ended(self, execution: Execution) -> Execution:
        fails = self.may_fail and self.chance.random() < 0.2
        made = self.writes[execution.id]
        if fails:
            made = made[: self.chance.randrange(len(made) + 1)]
        self._write(execution.id, made)
        jobs = tuple(
            Job(n, "COMPLETED", 0) if path in made else Job(n, "ERROR", 1, "no")
            for n, path in enumerate(self.writes[execution.id], 1)
        )
        status = ExecutionStatus.EXECUTION_FAILED if fails else ExecutionStatus.FINISHED
        return replace(execution, status=status, jobs=jobs, returned_files={"out": tuple(made)})

    def _write(self, id_: str, paths: list[VipPath]) -> None:
        folder = parent(self.writes[id_][0])
        if parent(parent(folder)) not in self.folders:
            return  # somebody removed the session's folder meanwhile
        self.folders |= {folder, parent(folder)}
        self.files |= {path: Blob((), RESULT_SIZE) for path in paths}

    # what it bears witness of

    def launches(self) -> Counter[Parts]:
        """Count how often each case was given to a job."""
        return Counter(parts for jobs in self.jobs.values() for parts in jobs)
