"""Everything one embedded VIP consists of, put together."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

from vipsync.local.bosh import BoshRunner
from vipsync.local.catalogue import SHIPPED, Catalogue
from vipsync.local.clock import Clock, SystemClock
from vipsync.local.engine import Engine
from vipsync.local.faults import Faults
from vipsync.local.journal import Journal
from vipsync.local.options import Options
from vipsync.local.registry import Registry
from vipsync.local.runner import JobRunner
from vipsync.local.storage import Storage
from vipsync.local.transfers import Transfers

logger = logging.getLogger(__name__)

_REMEMBERED_REQUESTS = 100_000


@dataclass(frozen=True)
class Request:
    """One request the server got: its verb, and its path after `/rest`."""

    method: str
    path: str


@dataclass
class World:
    """The state of one embedded VIP, below one folder; everything that varies is handed in."""

    root: Path
    options: Options = field(default_factory=Options)
    clock: Clock = field(default_factory=SystemClock)
    rng: random.Random = field(default_factory=random.Random)
    runner: JobRunner | None = None
    faults: Faults = field(default_factory=Faults)
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_REQUESTS))

    def __post_init__(self) -> None:
        """Make the folders, read the pipelines."""
        self.lock = RLock()
        work = self.root / "jobs"
        self.storage = Storage(self.root, file_dates=self.options.file_dates)
        self.storage.prepare(list(self.options.users.values()), self.options.groups)
        self.pipelines = Catalogue.read([SHIPPED, *self.options.pipelines], self.options.rights)
        for name in self.pipelines.undescribed():
            logger.warning("A group has the pipeline %s, but no descriptor was found of it.", name)
        self.transfers = Transfers(self.storage, self.options, self.clock, self.faults, self.lock)
        self.jobs = self.runner or BoshRunner(self.clock, slots=self.options.job_slots)
        self.engine = Engine(work, self.storage, self.jobs, self.options, self.clock, self.faults)
        journal = Journal(self.root / "executions", work)
        self.executions = Registry(
            self.engine, self.storage, self.transfers, journal, self.options, self.clock, self.rng
        )

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Hold the lock, with everything that is due by now done."""
        with self.lock:
            self.settle()
            yield

    def settle(self) -> None:
        """Do everything that is due by now."""
        with self.lock:
            self.transfers.settle()
            self.executions.settle()

    def close(self) -> None:
        """Stop the jobs that still run."""
        self.jobs.close()
