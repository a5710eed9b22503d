"""All executions of this server: launched, looked at, killed, deleted (facts 5)."""

from __future__ import annotations

import random
import re
import string
from contextlib import suppress
from pathlib import Path

from vipsync.local.clock import Clock
from vipsync.local.engine import Engine
from vipsync.local.execution import Execution, Status
from vipsync.local.journal import Journal
from vipsync.local.options import Options, User
from vipsync.local.refusals import (
    INVALID_EXECUTION_ID,
    PLATFORM_MAX_EXECS,
    USER_MAX_EXECS,
    Refusal,
    refused,
)
from vipsync.local.runner import Content
from vipsync.local.storage import Storage
from vipsync.local.submission import Submission
from vipsync.local.transfers import Transfers

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9]*:")
_LETTERS = string.ascii_lowercase + string.digits


class Registry:
    """The executions, oldest first; the caller holds the lock."""

    def __init__(
        self,
        engine: Engine,
        storage: Storage,
        transfers: Transfers,
        journal: Journal,
        options: Options,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._engine = engine
        self._storage = storage
        self._transfers = transfers
        self._journal = journal
        self._options = options
        self._clock = clock
        self._rng = rng
        known = journal.read(options.users.values())
        self._all = {execution.identifier: execution for execution in known}
        self._running: dict[str, Execution] = {}

    def settle(self) -> None:
        """Bring every running execution to where it is by now."""
        for execution in list(self._running.values()):
            self._engine.advance(execution)
            if execution.status is not Status.RUNNING:
                del self._running[execution.identifier]
                self._journal.write(execution)

    def launch(self, user: User, submission: Submission) -> dict[str, object]:
        """Start an execution and show it as it is before its engine runs; raises a quota's code."""
        self._check_quotas(user)
        self._check_ownership(user, submission)
        name, now = submission.name, self._clock.now()
        execution = Execution(self._new_identifier(), name, user, submission, now)
        self._all[execution.identifier] = execution
        self._running[execution.identifier] = execution
        self._journal.write(execution)
        return execution.details(now)

    def all(self) -> list[Execution]:
        """Return every execution that is not deleted, newest first."""
        return [execution for execution in reversed(self._all.values()) if not execution.deleted]

    def of(self, user: User) -> list[Execution]:
        """Return a user's executions that are not deleted, newest first."""
        return [execution for execution in self.all() if execution.owner == user]

    def owned(self, user: User, identifier: str) -> Execution:
        """Return one execution, also a deleted one; raises 8000 for an unknown or foreign one."""
        execution = self._all.get(identifier)
        if execution is None or execution.owner != user:
            raise refused()
        return execution

    def get(self, user: User, identifier: str) -> Execution:
        """Return one execution; raises 8000 for an unknown or foreign one, 8015 for a deleted one."""
        execution = self.owned(user, identifier)
        if execution.deleted:
            raise refused(INVALID_EXECUTION_ID, identifier)
        return execution

    def details(self, user: User, identifier: str) -> dict[str, object]:
        """Show one execution."""
        return self.get(user, identifier).details(self._clock.now())

    def results(self, user: User, identifier: str) -> list[dict[str, object]]:
        """Describe each recorded output, also those that were removed since."""
        outputs = self.owned(user, identifier).outputs(self._clock.now())
        return [self._storage.properties(user, path).as_json() for _, path in outputs]

    def kill(self, user: User, identifier: str) -> None:
        """Stop an execution, whatever its status: a deleted one comes back (facts 5.11)."""
        execution = self.owned(user, identifier)
        self._engine.kill(execution)
        execution.deleted = False
        self._running.pop(identifier, None)
        self._journal.write(execution)

    def rename(self, user: User, identifier: str, name: str) -> None:
        """Give an execution another name, also a deleted one."""
        execution = self.owned(user, identifier)
        execution.name = name
        self._journal.write(execution)

    def delete(self, user: User, identifier: str, *, files: bool) -> None:
        """Forget an execution that is Finished or Killed, and queue the removal of its outputs."""
        execution = self.owned(user, identifier)
        if execution.deleted or execution.status not in {Status.FINISHED, Status.KILLED}:
            raise refused()
        for _, path in execution.outputs(self._clock.now()) if files else ():
            with suppress(Refusal):
                self._transfers.remove(user, path)
        execution.forget()
        self._journal.write(execution)

    def log(self, user: User, identifier: str, stream: str, job: int | None) -> str:
        """Return a job's log, or one of the sentences that stand for it (facts 5.10)."""
        tasks = self.owned(user, identifier).tasks
        if not tasks:
            return "no log found"
        if job is None and len(tasks) > 1:
            return "jobId is required when multiple tasks exist"
        task = tasks.get(job) if job is not None else next(iter(tasks.values()))
        if task is None:
            return f"no log found for job {job}"
        if task.result is None:
            raise refused()
        return _text(task.result.stdout if stream == "stdout" else task.result.stderr)

    def _check_quotas(self, user: User) -> None:
        if len(self._running) >= self._options.quota_platform:
            raise refused(PLATFORM_MAX_EXECS)
        own = sum(execution.owner.name == user.name for execution in self._running.values())
        if own >= (user.limit or self._options.quota_user):
            raise refused(USER_MAX_EXECS, own)

    def _check_ownership(self, user: User, submission: Submission) -> None:
        paths = [submission.results_directory]
        for name, items in submission.values.items():
            if submission.pipeline.is_file(name):
                paths += items
        roots = self._storage.roots(user)
        if any(_is_foreign(path, roots) for path in paths):
            raise refused()

    def _new_identifier(self) -> str:
        while True:
            identifier = "workflow-" + "".join(self._rng.choices(_LETTERS, k=6))
            if identifier not in self._all:
                return identifier


def _is_foreign(path: str, roots: dict[str, Path]) -> bool:
    """Say whether a path is somebody else's, or names a storage that is not configured."""
    if _SCHEME.match(path):
        return not path.startswith("file:")
    top = path.removeprefix("/vip/").partition("/")[0] if path.startswith("/vip/") else "Home"
    return top not in roots and (top == "Users" or top.endswith(" (group)"))


def _text(content: Content) -> str:
    raw = content if isinstance(content, bytes) else content.read_bytes()
    return raw.decode("utf-8", "replace")
