"""Killed before or after any effect that lasts, and started again: the same end as if nothing had been.

A process is a fork. It runs the loop over the folders on the disk and asks the world over a pipe;
the world and the person stay here, as a server and a person do. So a kill is a kill: no `finally`
runs, no buffer is written, and locks go with the process.

First how a story is played; then the stories, what people do with a session folder, each from its
start to its end; then the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from tests.lab.archives import tar, tgz
from tests.lab.bench import SCAN, SETTINGS, Bench, Study
from tests.lab.effects import Effects, Fatal
from tests.lab.pipelines import SPECTRUM
from tests.lab.statuses import states
from tests.test_adoption_system import backup, vip_session
from tests.test_archive import Member, link
from tests.test_archive import packed as archive
from tests.test_packing_system import scan
from tests.test_packing_system import settings as packing
from tests.test_results_per_case import failing
from tests.test_share_system import pair
from vipsync.folder.claims import take_claim
from vipsync.folder.folder import SessionFolder
from vipsync.local import Job
from vipsync.plan.standing import CaseState
from vipsync.record.ledger import read_state
from vipsync.rows import Phase, ResultStatus
from vipsync.run.reconciler import Reconciler
from vipsync.status.publish import Publisher

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is a fork here")

_SQLITE = "ledger.sqlite-"


class Step(Struct, frozen=True):
    """What a person does, and what the process must come to then; `anew`: with another process."""

    deed: Callable[[], object]
    end: Callable[[], object]
    anew: bool = False


class Story(Struct, frozen=True):
    """A piece of a folder's life from its start to its end, on a world with options."""

    name: str
    tell: Callable[[Bench], list[Step]]
    options: Mapping[str, Any] = {}


# What a process says, with the time on its clock.


class _Asked(Struct, frozen=True):
    """It sent a request."""

    now: float
    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    content: bytes


class _Reached(Struct, frozen=True):
    """It came to the end of a step; it is told whether it goes on with the next one."""

    now: float
    step: int


class _Died(Struct, frozen=True):
    """It is about to be killed, before or after an effect of a kind."""

    now: float
    kind: str


class _Ended(Struct, frozen=True):
    """It ended in an orderly way, after effects of these kinds."""

    now: float
    kinds: list[str]


class _Failed(Struct, frozen=True):
    """It could not come to the end of a step."""

    now: float
    why: str


_Said = _Asked | _Reached | _Died | _Ended | _Failed


class Play:
    """A story on its way: the world, the person, and one process after another."""

    def __init__(self, root: Path, story: Story) -> None:
        self.bench = Bench(root, **story.options)
        self.kinds: list[str] = []
        self.killed_at: str | None = None
        self._steps = story.tell(self.bench)
        self._at = 0

    def play(self, fatal: Fatal | None = None) -> None:
        """Play to the end; a process that is killed at `fatal` is followed by another one."""
        self._steps[0].deed()
        while self._at < len(self._steps):
            self.live(fatal if self.killed_at is None else None)

    def live(self, fatal: Fatal | None) -> None:
        """Let one process live."""
        here, there = Pipe()
        pid = os.fork()
        if pid == 0:
            here.close()
            _Process(self.bench, self._steps, there).live(self._at, len(self.kinds), fatal)
        there.close()
        try:
            ended = self._serve(here)
        finally:
            here.close()
            os.waitpid(pid, 0)
        assert ended or self.killed_at, "a process ended without a word"
        if ended and self._at < len(self._steps):
            self._steps[self._at].deed()

    def _serve(self, pipe: Connection) -> bool:
        """Answer a process until it is no more; tell whether it ended in an orderly way."""
        ended = False
        while True:
            try:
                said: _Said = pipe.recv()
            except (EOFError, ConnectionResetError):
                return ended
            self.bench.clock.sleep(said.now - self.bench.clock.now())
            ended = isinstance(said, _Ended)
            with suppress(BrokenPipeError):
                self._hear(said, pipe)

    def _hear(self, said: _Said, pipe: Connection) -> None:
        match said:
            case _Asked():
                answer = self._answer(said)
                pipe.send((self.bench.clock.now(), answer))
            case _Reached():
                self._at = said.step + 1
                goes_on = self._at < len(self._steps) and not self._steps[self._at].anew
                if goes_on:
                    self._steps[self._at].deed()
                pipe.send(goes_on)
            case _Died():
                self.killed_at = said.kind
            case _Ended():
                self.kinds += said.kinds
            case _Failed():
                raise AssertionError(said.why)

    def _answer(self, asked: _Asked) -> tuple[Any, ...]:
        headers, content = asked.headers, asked.content
        request = httpx.Request(asked.method, asked.url, headers=headers, content=content)
        try:
            response = self.bench.transport.handle_request(request)
            return response.status_code, response.headers.raw, response.read()
        except httpx.TransportError as error:
            return type(error), str(error)

    def end(self) -> dict[str, object]:
        """Return what there is in the end, here and on VIP."""
        bench = self.bench
        found: dict[str, object] = {
            "on VIP": sorted(bench.vip_files()),
            "sessions on VIP": bench.sessions_on_vip(),
            "executions": sorted(map(sorted, bench.executions())),
        }
        for study in bench.studies:
            name, folder = study.root.name, SessionFolder(study.root)
            state = read_state(folder.ledger)
            found |= {
                f"{name}: phase": state.session.phase,
                f"{name}: inputs": study.inputs(),
                f"{name}: sent": bench.vip_inputs(state.session.session_name),
                f"{name}: outputs": study.outputs(),
                f"{name}: files": _others(study.root),
            }
        return found


def _others(root: Path) -> list[str]:
    """Return the files of a session folder that are neither inputs nor results."""
    found = (p.relative_to(root).as_posix() for p in root.rglob("*"))
    return sorted(p for p in found if not (p.startswith(("inputs/", "outputs/")) or _SQLITE in p))


class _Process(httpx.BaseTransport):
    """One process: it comes from step to step, and dies where it must."""

    def __init__(self, bench: Bench, steps: list[Step], pipe: Connection) -> None:
        self._bench, self._steps, self._pipe = bench, steps, pipe
        self._effects = Effects(0, None, self._die)

    def live(self, at: int, first: int, fatal: Fatal | None) -> None:
        """Live, and never return."""
        try:
            self._effects = Effects(first, fatal, self._die)
            self._effects.watch()
            self._bench.transport = self
            self._pipe.send(self._lived(at))
        finally:
            os._exit(0)

    def _lived(self, at: int) -> _Ended | _Failed:
        try:
            goes_on = True
            while goes_on:
                self._bench.clock.sleep(SCAN)
                self._bench.until(self._steps[at].end)
                self._pipe.send(_Reached(self._now, at))
                goes_on, at = self._pipe.recv(), at + 1
            self._bench.stop()
        except BaseException:
            return _Failed(self._now, traceback.format_exc())
        return _Ended(self._now, self._effects.kinds)

    @property
    def _now(self) -> float:
        return self._bench.clock.now()

    def _die(self, kind: str) -> None:
        self._pipe.send(_Died(self._now, kind))
        os.kill(os.getpid(), signal.SIGKILL)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask the world; a killed process never hears what it answered."""
        asked = _Asked(
            self._now, request.method, str(request.url), request.headers.raw, request.read()
        )
        with self._effects.effect("request"):
            self._pipe.send(asked)
        with self._effects.effect("answer"):
            now, answer = self._pipe.recv()
        self._bench.clock.sleep(now - self._now)
        if len(answer) == 2:
            failure, text = answer
            raise failure(text, request=request)
        status, headers, body = answer
        download = request.url.params.get("action") == "content"
        content = self._halves(body) if download else body
        return httpx.Response(status, headers=headers, content=content)

    def _halves(self, body: bytes) -> Iterator[bytes]:
        """Yield an answer in two pieces: what came of a download before a kill is a part."""
        half = len(body) // 2
        yield body[:half]
        with self._effects.effect("block"):
            yield body[half:]


LISTED = """\
pipeline_id = "crossed/1"
portal = "https://vip.test"

[input_settings]
signal = "*.mrui"
parameters = ["p1.txt", "p2.txt"]
"""


def nothing() -> None:
    """Leave everything as it is."""


def rest(study: Study) -> Callable[[], object]:
    """Wait until nothing can advance any more."""
    return lambda: study.bench.loop.at_rest() and study.session.is_open


def here(study: Study, count: int) -> Callable[[], object]:
    """Wait until so many results are here, and nothing can advance any more."""
    return lambda: rest(study)() and _here(study) == count


def _here(study: Study) -> int:
    return sum(r.status is ResultStatus.HERE for r in study.state.results.values())


def ran(study: Study, count: int) -> Callable[[], object]:
    """Wait until so many executions are over, and nothing can advance any more."""
    return lambda: rest(study)() and _over(study) == count


def _over(study: Study) -> int:
    return sum(e.over for e in study.state.executions.values())


def runs(study: Study) -> Callable[[], object]:
    """Wait until an execution is known to run."""
    return lambda: (
        study.session.is_open
        and any(e.results_folder and not e.over for e in study.state.executions.values())
    )


def closed(study: Study) -> Callable[[], object]:
    """Wait until the session was finished."""
    return lambda: rest(study)() and study.phase() is Phase.CLOSED


def phase(study: Study, wanted: Phase) -> Callable[[], object]:
    """Wait until the session has come so far."""
    return lambda: study.session.is_open and study.phase() is wanted


def fixed(bench: Bench, content: bytes) -> None:
    """Let each job return the same bytes."""
    bench.runner.work = lambda _job: {"fit": content}


def lasting(bench: Bench, *names: str, seconds: float = 600.0) -> None:
    """Let the jobs of these signals take long."""
    bench.job_seconds = lambda job: seconds if _signal(job) in names else 10.0


def _signal(job: Job) -> str:
    return str(job.invocation["signal"]).partition(".")[0]


# one function for each story


def one_file(bench: Bench) -> list[Step]:
    """One file; its result comes; the marker is deleted."""
    study = bench.study(a="one")
    return [Step(nothing, here(study, 1)), Step(study.marker.unlink, closed(study))]


def two_runs(bench: Bench) -> list[Step]:
    """Two files, each run twice."""
    study = bench.study(settings=f"{SETTINGS}\n[launch]\nnb_runs = 2\n", a="one", b="two")
    return [Step(nothing, here(study, 4))]


def product(bench: Bench) -> list[Step]:
    """Two signals times two parameter files: four jobs with a name of their own."""
    outputs = [{"id": "fit", "name": "f", "path-template": "[signal]-[parameters].tgz"}]
    spectrum = dict(SPECTRUM, **{"name": "crossed", "output-files": outputs})
    bench.world.pipelines.add(spectrum)
    study = bench.study(settings=LISTED, a="one", b="two")
    study.write({"p1.txt": "first", "p2.txt": "second"})
    return [Step(nothing, here(study, 4))]


def second_content(bench: Bench) -> list[Step]:
    """Tell of a file that gets other content after its run: it goes to _v2, and runs again."""
    study = bench.study(a="one")
    return [Step(nothing, here(study, 1)), Step(lambda: study.drop(a="two"), here(study, 2))]


def empty_file(bench: Bench) -> list[Step]:
    """Tell of an empty file: it is sent and run like others."""
    study = bench.study(a="", b="two")
    return [Step(nothing, here(study, 2))]


def packed(kind: str) -> Callable[[Bench], list[Step]]:
    """Return a story of folders that are sent as archives."""

    def tell(bench: Bench) -> list[Step]:
        study = bench.study(settings=packing(kind))
        scan(study, "sub-01", a="1", b="2")
        return [
            Step(nothing, here(study, 1)),
            Step(lambda: scan(study, "sub-02", a="3"), here(study, 2)),
        ]

    return tell


def unpacked_tree(bench: Bench) -> list[Step]:
    """Tell of a result with more members than are flushed one by one."""
    fixed(bench, tgz({f"maps/{n:02}.nii": b"%d" % n for n in range(40)}))
    study = bench.study(a="one")
    return [Step(nothing, here(study, 1)), Step(study.marker.unlink, closed(study))]


def left_packed(bench: Bench) -> list[Step]:
    """`unzip = false`."""
    fixed(bench, tar({"a.txt": b"peaks"}))
    study = bench.study(settings=SETTINGS + "\n[outputs]\nunzip = false\n", a="one")
    return [Step(nothing, here(study, 1))]


def kept_archive(bench: Bench) -> list[Step]:
    """`keep_archive = true`."""
    fixed(bench, tar({"a.txt": b"peaks"}))
    study = bench.study(settings=SETTINGS + "\n[outputs]\nkeep_archive = true\n", a="one", b="two")
    return [Step(nothing, here(study, 2))]


def odd_archive(bench: Bench) -> list[Step]:
    """Tell of an archive with a link to elsewhere: it is unpacked without, and kept."""
    inside = [Member("run1/a.txt", b"peaks"), link("latest", "run1/"), link("fsaverage", "/usr/fs")]
    fixed(bench, archive(inside))
    study = bench.study(a="one")
    return [Step(nothing, here(study, 1)), Step(study.marker.unlink, closed(study))]


def refused_archive(bench: Bench) -> list[Step]:
    """Tell of an archive that leads out of its folder: it stays packed."""
    fixed(bench, tar({"../up.txt": b"out"}))
    study = bench.study(a="one")
    return [Step(nothing, here(study, 1)), Step(study.marker.unlink, closed(study))]


def comes_back(bench: Bench) -> list[Step]:
    """Tell of a result that is removed here: it comes back."""
    study = bench.study(a="one", b="two")

    def back() -> bool:
        return bool(here(study, 2)()) and len(study.outputs()) == 2

    return [
        Step(nothing, here(study, 2)),
        Step(lambda: shutil.rmtree(study.result("a.mrui.tgz")), back),
    ]


def edited(bench: Bench) -> list[Step]:
    """Tell of a result that a person changed: it is left alone, to the end."""
    study = bench.study(a="one", b="two")
    return [
        Step(nothing, here(study, 2)),
        Step(lambda: study.result("a.txt").write_text("my own words"), here(study, 2)),
        Step(study.marker.unlink, closed(study)),
    ]


def beside(bench: Bench) -> list[Step]:
    """Something lies where a result is to come: it stays, and the result comes beside it."""
    lasting(bench, "a")
    study = bench.study(a="one")

    def block() -> None:
        (execution,) = read_state(study.root / ".vipsync" / "ledger.sqlite").executions.values()
        folder = study.root / "outputs" / Path(str(execution.results_folder)).name
        folder.mkdir(parents=True)
        (folder / "a.mrui.tgz").write_text("in the way")

    return [Step(nothing, runs(study)), Step(block, here(study, 1))]


def failed_job(bench: Bench) -> list[Step]:
    """One job fails: the other's result comes, and its own logs; failed ones are run again."""
    bench.runner.work = failing("b")
    study = bench.study(a="one", b="two")

    def again() -> None:
        bench.runner.work = failing()
        study.ask("rerun", which="failed")

    return [
        Step(nothing, ran(study, 1)),
        Step(again, here(study, 2)),
        Step(study.marker.unlink, closed(study)),
    ]


def finished_during_jobs(bench: Bench) -> list[Step]:
    """Delete the marker while a job runs: a case that came meanwhile is set aside."""
    lasting(bench, "a")
    study = bench.study(a="one")

    def leave() -> None:
        study.marker.unlink()
        study.drop(b="two")

    return [Step(nothing, runs(study)), Step(leave, closed(study))]


def taken_back(bench: Bench) -> list[Step]:
    """Delete the marker while a job runs, and put it back."""
    lasting(bench, "a")
    study = bench.study(a="one")

    def come_back() -> None:
        study.marker.touch()
        study.drop(b="two")

    return [
        Step(nothing, runs(study)),
        Step(study.marker.unlink, phase(study, Phase.FINISHING)),
        Step(come_back, here(study, 2)),
    ]


def asked_to_finish(bench: Bench) -> list[Step]:
    """`finish`, taken back with `finish --cancel`, and asked again."""
    lasting(bench, "a")
    study = bench.study(a="one")
    return [
        Step(nothing, runs(study)),
        Step(lambda: study.ask("finish"), phase(study, Phase.FINISHING)),
        Step(lambda: study.ask("finish --cancel"), phase(study, Phase.OPEN)),
        Step(lambda: study.ask("finish"), closed(study)),
    ]


def killed_at_the_end(bench: Bench) -> list[Step]:
    """`finish --kill`: what runs is stopped."""
    lasting(bench, "b", seconds=1e6)
    study = bench.study(a="one", b="two")
    return [
        Step(nothing, lambda: runs(study)() and _here(study) == 1),
        Step(lambda: study.ask("finish", kill="yes"), closed(study)),
    ]


def finished_by_itself(bench: Bench) -> list[Step]:
    """`after = "download"`."""
    study = bench.study(settings=SETTINGS + '\n[finish]\nafter = "download"\n', a="one", b="two")
    return [Step(nothing, closed(study))]


def keeps_inputs(bench: Bench) -> list[Step]:
    """`keep_input = true`, and the session opens again with a new file."""
    study = bench.study(settings=SETTINGS + "\n[finish]\nkeep_input = true\n", a="one")
    return [
        Step(nothing, here(study, 1)),
        Step(study.marker.unlink, lambda: rest(study)() and list(_results(study)) == [True]),
        Step(lambda: study.drop(b="two"), here(study, 2)),
    ]


def _results(study: Study) -> Iterator[bool]:
    """Tell of each execution whether its results were removed from VIP."""
    return (execution.removed for execution in study.state.executions.values())


def second_life(bench: Bench) -> list[Step]:
    """Finished, then opened again by a new file, and finished again."""
    study = bench.study(a="one")
    return [
        Step(nothing, here(study, 1)),
        Step(study.marker.unlink, closed(study)),
        Step(lambda: study.drop(b="two"), here(study, 2)),
        Step(study.marker.unlink, lambda: closed(study)() and _here(study) == 2),
    ]


def cancelled(bench: Bench) -> list[Step]:
    """Drop a queued case, and stop a running one."""
    lasting(bench, "a", "b", "c")
    study = bench.study(settings=SETTINGS + "\n[launch]\nmax_jobs = 1\n", a="1", b="2", c="3")
    return [
        Step(nothing, lambda: runs(study)() and study.says("Queued: ")),
        Step(lambda: study.ask("cancel", "b.mrui"), _in_state(study, "b.mrui", CaseState.DROPPED)),
        Step(lambda: study.ask("cancel", "a.mrui"), here(study, 1)),
    ]


def _in_state(study: Study, case: str, state: CaseState) -> Callable[[], object]:
    def holds() -> bool:
        session = study.session
        if not session.is_open or session.snapshot is None or session.plan is None:
            return False
        return states(study).get(case) is state

    return holds


def rerun_all(bench: Bench) -> list[Step]:
    """Everything is run once more."""
    study = bench.study(a="one", b="two")
    return [
        Step(nothing, here(study, 2)),
        Step(lambda: study.ask("rerun", which="all"), here(study, 4)),
    ]


def manual(bench: Bench) -> list[Step]:
    """`when = "manual"`: one case is launched by name."""
    study = bench.study(settings=SETTINGS + '\n[launch]\nwhen = "manual"\n', a="one", b="two")
    return [Step(nothing, rest(study)), Step(lambda: study.ask("launch", "b.mrui"), here(study, 1))]


def confirmed(bench: Bench) -> list[Step]:
    """More jobs than `confirm_above` wait for `launch`."""
    study = bench.study(settings=SETTINGS + "\n[launch]\nconfirm_above = 1\n", a="one", b="two")
    return [
        Step(nothing, lambda: rest(study)() and study.says("confirm_above")),
        Step(lambda: study.ask("launch"), here(study, 2)),
    ]


def adopted_from_a_script(bench: Bench) -> list[Step]:
    """Tell of a folder of vip-client: what is complete counts as launched, what comes runs."""
    study = bench.study(a="one")
    vip_session(bench)
    backup(study)
    return [
        Step(nothing, lambda: rest(study)() and study.marker.exists()),
        Step(lambda: study.drop(b="two"), here(study, 1)),
        Step(study.marker.unlink, closed(study)),
    ]


def lost_ledger(bench: Bench) -> list[Step]:
    """`.vipsync` is lost while a job runs: the folder is adopted by its marker."""
    lasting(bench, "a")
    study = bench.study(a="one")
    hidden = study.root / ".vipsync"
    return [
        Step(nothing, runs(study)),
        Step(lambda: shutil.rmtree(hidden), lambda: here(study, 1)(), anew=True),
        Step(lambda: study.drop(b="two"), here(study, 2)),
        Step(study.marker.unlink, closed(study)),
    ]


def shared(bench: Bench) -> list[Step]:
    """Tell of a second folder that uses the inputs of the first."""
    lender, borrower = pair(bench, a="1", b="2")
    both = [here(lender, 2), here(borrower, 2)]
    return [
        Step(nothing, lambda: all(done() for done in both)),
        Step(borrower.marker.unlink, closed(borrower)),
        Step(lender.marker.unlink, closed(lender)),
    ]


def moved(bench: Bench) -> list[Step]:
    """Rename the folder while nothing runs."""
    study = bench.study(a="one")

    def move() -> None:
        study.root = study.root.rename(study.root.with_name("renamed"))

    return [
        Step(nothing, here(study, 1)),
        Step(move, here(study, 1), anew=True),
        Step(lambda: study.drop(b="two"), here(study, 2)),
        Step(lambda: study.marker.unlink(), closed(study)),  # it lies elsewhere by then
    ]


def paused(bench: Bench) -> list[Step]:
    """Paused while a file comes, then resumed."""
    study = bench.study(a="one")

    def come() -> None:
        study.ask("pause")
        study.drop(b="two")

    return [
        Step(nothing, here(study, 1)),
        Step(come, lambda: rest(study)() and study.state.session.paused),
        Step(lambda: study.ask("resume"), here(study, 2)),
    ]


def everything_sent(bench: Bench) -> list[Step]:
    """`upload = "all"`: also files that no case uses."""
    study = bench.study(settings=SETTINGS + '\n[inputs]\nupload = "all"\n', a="one")
    study.write({"notes/read me.txt": "words", "b.txt": "more"})
    return [Step(nothing, here(study, 1)), Step(study.marker.unlink, closed(study))]


def changed_settings(bench: Bench) -> list[Step]:
    """Make a mistake in settings.toml, mended with another parameter; what is outdated runs again."""
    study = bench.study(a="one")
    shared = SETTINGS + 'parameters = "p.txt"\n'

    def mend() -> None:
        study.write({"p.txt": "words"})
        study.settings.write_text(shared)

    def spoil() -> None:
        study.settings.write_text(SETTINGS.replace("signal", "sgnal"))
        study.drop(b="two")

    return [
        Step(nothing, here(study, 1)),
        Step(spoil, lambda: rest(study)() and study.says("sgnal")),
        Step(mend, here(study, 2)),
        Step(lambda: study.ask("rerun", which="outdated"), here(study, 3)),
    ]


def told(bench: Bench) -> list[Step]:
    """STATUS.txt, results.csv and session_data.json are written all the time."""
    publisher = Publisher()

    def publish(session: Reconciler) -> None:
        publisher.publish(session)

    bench.publish = publish
    study = bench.study(a="one")
    return [Step(nothing, here(study, 1)), Step(study.marker.unlink, closed(study))]


def queued(bench: Bench) -> list[Step]:
    """VIP runs one execution at a time: the others wait for their turn."""
    study = bench.study(settings=SETTINGS + "\n[launch]\nmax_jobs = 1\n", a="1", b="2", c="3")
    return [Step(nothing, here(study, 3))]


STORIES = (
    Story("one file", one_file),
    Story("nb_runs = 2", two_runs),
    Story("product", product),
    Story("other content", second_content),
    Story("empty file", empty_file),
    Story("zip", packed("zip")),
    Story("tar", packed("tar")),
    Story("tgz", packed("tgz")),
    Story("many members", unpacked_tree),
    Story("unzip = false", left_packed),
    Story("keep_archive", kept_archive),
    Story("refused archive", refused_archive),
    Story("odd archive", odd_archive),
    Story("result comes back", comes_back),
    Story("edited result", edited),
    Story("beside", beside),
    Story("failed job", failed_job),
    Story("marker deleted during jobs", finished_during_jobs),
    Story("marker put back", taken_back),
    Story("finish and cancel", asked_to_finish),
    Story("finish --kill", killed_at_the_end),
    Story("after = download", finished_by_itself),
    Story("keep_input", keeps_inputs),
    Story("opened again", second_life),
    Story("cancel", cancelled, {"quota_user": 1}),
    Story("rerun", rerun_all),
    Story("manual", manual),
    Story("confirm_above", confirmed),
    Story("adopted", adopted_from_a_script),
    Story("lost ledger", lost_ledger),
    Story("share", shared),
    Story("moved", moved),
    Story("pause and resume", paused),
    Story("upload = all", everything_sent),
    Story("settings", changed_settings),
    Story("written words", told),
    Story("quota", queued, {"quota_user": 1}),
)


STRIDE = 307
"""Every so many kill points one is tried in each run of the tests: a prime, so that kinds vary."""

KINDS = {
    "commit",
    "flush",
    "rename",
    "removal",
    "folder",
    "ledger",
    "request",
    "answer",
    "block",
}

End = dict[str, object]


@pytest.fixture(scope="module", autouse=True)
def claims_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have what all folders of an account share, so that the first story has no more effects than others."""
    take_claim(SessionFolder(tmp_path_factory.mktemp("claims") / "any"), "any")


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., tuple[Play, End]]:
    """Return a function that plays a story to its end, in a folder that is gone afterwards."""

    def play(story: Story, fatal: Fatal | None = None) -> tuple[Play, End]:
        root = tmp_path / "world"
        made = Play(root, story)
        try:
            made.play(fatal)
            return made, made.end()
        finally:
            shutil.rmtree(root)

    return play


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_killed_now_and_then_it_comes_to_the_same_end(
    play: Callable[..., tuple[Play, End]], story: Story
) -> None:
    """An even sample of all kill points, the same in every run."""
    _try_all(play, story, STRIDE)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_killed_anywhere_it_comes_to_the_same_end(
    play: Callable[..., tuple[Play, End]], story: Story
) -> None:
    """Before and after every single effect of every story."""
    _try_all(play, story, 1)


def _try_all(play: Callable[..., tuple[Play, End]], story: Story, stride: int) -> None:
    whole, wanted = play(story)
    first = STORIES.index(story) * 31 % stride  # not always the same moment of a story
    for point in range(first, 2 * len(whole.kinds), stride):
        fatal = Fatal(point // 2, before=point % 2 == 0)
        killed, end = play(story, fatal)
        assert killed.killed_at == whole.kinds[fatal.number], (
            "another effect than that of the whole"
        )
        assert end == wanted, f"killed {fatal}, a {killed.killed_at}"


def test_the_stories_have_effects_of_all_kinds(play: Callable[..., tuple[Play, End]]) -> None:
    """What is counted is there: else a seam that misses its functions would kill nobody."""
    few = [story for story in STORIES if story.name in ("one file", "written words")]
    kinds = Counter(kind for story in few for kind in play(story)[0].kinds)
    assert set(kinds) == KINDS
    assert kinds["request"] == kinds["answer"]


def test_a_killed_process_leaves_what_it_had_under_way(
    play: Callable[..., tuple[Play, End]], tmp_path: Path
) -> None:
    """No `finally` tidies up: the file that was to become the marker lies there half done."""
    (story,) = (story for story in STORIES if story.name == "one file")
    whole, _ = play(story)
    left = []
    for number in (n for n, kind in enumerate(whole.kinds) if kind == "rename"):
        made = Play(tmp_path / str(number), story)
        made.live(Fatal(number, before=True))
        left += [p.name.split(".")[1] for p in (tmp_path / str(number)).rglob(".*.tmp")]
    assert left == ["session", "ON_VIP"]
