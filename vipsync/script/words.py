"""What a script's session says while it works."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from vipsync import actions as do
from vipsync.model import Descriptor, Parameter
from vipsync.plan.draft import Level, Notice, Plan
from vipsync.plan.snapshot import Snapshot
from vipsync.run.reconciler import Reconciler
from vipsync.script.outcomes import jobs_so_far
from vipsync.status.status import Status

if TYPE_CHECKING:
    from vipsync.report.reporter import Reporter

WIDTH = 70

Say = Callable[[str], None]


class SessionReport:
    """Say what a session does: to `say`, or where that is None on the terminal; or nothing at all."""

    def __init__(self, say: Say | None, *, verbose: bool) -> None:
        self.verbose = verbose
        self._say = say
        self._reporter: Reporter | None = None
        self._step = ""
        self._picture, self._shown = ExitStack(), False
        self._noticed: set[Notice] = set()
        self._jobs = ""

    def __deepcopy__(self, memo: object) -> SessionReport:
        """Return one for a copy of the session: it says things in the same place."""
        return SessionReport(self._say, verbose=self.verbose)

    def line(self, text: str = "") -> None:
        """Say one thing."""
        if self.verbose:
            (self._say or self._terminal().say)(text)

    def heading(self, text: str) -> None:
        """Say which step begins."""
        self.line(f"\n=== {text} ===\n")
        self._step, self._jobs = text.lower(), ""
        self._noticed.clear()

    def tell(self, session: Reconciler, plan: Plan) -> None:
        """Say how far transfers are, and once what is not as it should be: a full queue, no answer."""
        if not self.verbose:
            return
        if session.is_open:
            self._tell_jobs(jobs_so_far(session.ledger.state.executions.values()))
        if self._say is None and session.snapshot:
            name = session.snapshot.settings.session_name
            self._terminal().titles[session.folder.root] = name
            self._terminal().update(session, self._status(session, session.snapshot))
            self._show()
        for notice in plan.notices:
            if notice.level is not Level.ERROR and notice not in self._noticed:
                self._noticed.add(notice)
                self.line(f"(!) {notice.text} {notice.remedy}".rstrip())

    def _tell_jobs(self, jobs: str) -> None:
        """Say how far jobs are where that has changed; a picture on a terminal shows it itself."""
        if (
            jobs
            and jobs != self._jobs
            and not (self._shown and self._terminal().out.is_interactive)
        ):
            self.line(f"{jobs}.")
        self._jobs = jobs

    def _status(self, session: Reconciler, snapshot: Snapshot) -> Status:
        return Status(
            folder=str(session.folder.root),
            session=snapshot.settings.session_name,
            id=snapshot.state.session.id,
            phase=snapshot.state.session.phase,
            sentence=self._sentence(),
            written=snapshot.wall,
        )

    def _sentence(self) -> str:
        if not (self._shown and self._terminal().out.is_interactive):
            return ""
        return f"{self._step}, {self._jobs}" if self._jobs else self._step

    def moved(self, key: do.Key, now: int, size: int) -> None:
        """Take in how far a transfer is; may be called in any thread."""
        if self._reporter:
            self._reporter.moved(key, now, size)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep a picture of the transfers on a terminal from the first look on; elsewhere, lines tell."""
        with ExitStack() as self._picture:
            try:
                yield
            finally:
                self._shown = False

    def _show(self) -> None:
        if not self._shown:
            self._shown = True
            self._picture.enter_context(self._terminal().live(stays=False))

    def _terminal(self) -> Reporter:
        if self._reporter is None:
            from vipsync.report.reporter import Reporter

            self._reporter = Reporter()
        return self._reporter


def pipeline_list(pipelines: Iterable[str]) -> str:
    """Return the pipelines that match, as a list."""
    rule = "-" * len("Available pipelines")
    return "\n".join(["", "Available pipelines", rule, *pipelines, rule])


def pipeline_page(pipeline: Descriptor) -> str:
    """Return the full description of a pipeline."""
    title = pipeline.pipeline_id
    required = sorted((p for p in pipeline.parameters if p.required), key=lambda p: p.name)
    optional = sorted((p for p in pipeline.parameters if not p.required), key=lambda p: p.name)
    lines = ["", "=" * len(title), title, "=" * WIDTH]
    lines += [f"NAME: {pipeline.name} | VERSION: {pipeline.version}", "-" * WIDTH]
    lines += ["DESCRIPTION:", *_wrapped(pipeline.description), "-" * WIDTH, "INPUT_SETTINGS:"]
    for heading, parameters in (("REQUIRED", required), ("OPTIONAL", optional)):
        if parameters:
            lines.append(heading.ljust(WIDTH, "."))
            lines += [line for p in parameters for line in _parameter(p)]
    return "\n".join([*lines, "=" * WIDTH, ""])


def _parameter(parameter: Parameter) -> list[str]:
    kind = parameter.type.value.upper()
    return [f"- {parameter.name}", *_wrapped(f"[{kind}] {parameter.description}")]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ")
