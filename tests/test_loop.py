"""The loop: when it looks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bench import Bench
from vipsync import actions as do
from vipsync.disk.scan import ChangedPaths
from vipsync.errors import KeyMissing
from vipsync.record.outcomes import record
from vipsync.rows import State
from vipsync.run import loop, reconciler
from vipsync.run.account import Connect
from vipsync.run.dispatch import Done, carry_out
from vipsync.run.reconciler import Reconciler, Work
from vipsync.run.timing import Timing


class Noisy:
    """A watcher to which something happens all the time, as while results come."""

    def __init__(self, _wake: Callable[[], None]) -> None:
        self.names: list[Hashable] = []

    def watch(self, name: Hashable, *_: object, **__: object) -> None:
        self.names.append(name)

    def take(self) -> dict[Hashable, ChangedPaths]:
        return {name: frozenset({"result"}) for name in self.names}

    def healthy(self, _name: Hashable) -> bool:
        return True

    def mendable(self, _name: Hashable) -> bool:
        return False

    def limit(self) -> str:
        return ""

    def stop(self) -> None:
        pass


def no_key(*_: object) -> tuple[object, str]:
    raise KeyMissing("no key")


def test_costly_looks_leave_time_for_transfers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that never end get a fifth of the time, however long a look takes."""
    monkeypatch.setattr(loop, "Watcher", Noisy)
    (tmp_path / "settings.toml").touch()
    (tmp_path / "inputs").mkdir()
    now, looks = 1000.0, 0

    def publish(_session: Reconciler) -> None:
        nonlocal now, looks
        now += 0.5
        looks += 1

    connect: Connect = no_key  # type: ignore[assignment]
    timing = Timing(clock=lambda: now, wall=lambda: now)
    running = loop.Loop([tmp_path], connect, timing=timing, publish=publish)
    while now < 1100:
        running.turn()
        now += max(running.pause(), 0.01)
    running.close()
    assert 35 <= looks <= 45  # one every 2.5 s, and the first ones, which nothing holds back


class Telling:
    """Carries out work at once, and notes that it began."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def submit(self, work: Work, done: Done) -> None:
        self._events.append("work")
        carry_out(work, done)


def test_work_waits_neither_for_words_nor_for_a_look_that_only_an_event_asks_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each turn work begins first, while events come without end; only what is due precedes it."""
    events: list[str] = []
    look = Reconciler.look

    def looked(session: Reconciler, **places: ChangedPaths | bool) -> None:
        events.append("look")
        look(session, **places)  # type: ignore[arg-type]

    monkeypatch.setattr(Reconciler, "look", looked)
    monkeypatch.setattr(loop, "Watcher", Noisy)
    bench.watch, bench.executor = True, Telling(events)
    bench.publish = lambda _session: events.append("words")
    study = bench.study(**{f"s{number:02}": "signal" for number in range(60)})
    turns = []

    def all_sent() -> bool:
        turns.append(events.copy())
        events.clear()
        return len(bench.vip_inputs()) == 60

    bench.clock.sleep(3600)
    bench.until(all_sent)
    assert study.notices == []
    assert any(turn[:1] == ["work"] and "look" in turn for turn in turns)
    assert not [turn for turn in turns if "words" in turn and "work" in turn[turn.index("words") :]]


@pytest.mark.parametrize("step", ["intent", "record", "replace"])
def test_a_fault_in_one_folder_leaves_the_others_at_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """It is said, the folder is let go, and tried again in a while: here the fault does not last."""
    faulty, whole = bench.study("faulty", a="one"), bench.study("whole", b="two")
    said: list[str] = []
    bench.publish = lambda s: said.append(str(s.trouble)) if s.folder.root == faulty.root else None
    bench.loop.turn()
    mine = faulty.state.session.id
    with monkeypatch.context() as patch:
        patch.setattr(reconciler, step, failing_for(mine, getattr(reconciler, step)))
        bench.run(300)
    assert any("A fault in vipsync: ZeroDivisionError" in words for words in said)
    assert len(said) < 200  # and not as often as the machine can
    assert list(whole.outputs()) == ["1/b.mrui.tgz/b.txt"]
    bench.run(300)
    assert faulty.trouble() is None
    assert len(faulty.outputs()) == 1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_ends_beside_a_fault_is_under_way_no_longer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Outcomes are recorded in one transaction: of one with a fault none is, and each is looked for again."""
    study = bench.study(**{name: name for name in "abc"})
    count, really = iter(range(1000)), record

    def fails(*given: Any) -> Any:
        if isinstance(given[0], do.SendFile) and next(count) == number:
            raise ZeroDivisionError
        return really(*given)

    monkeypatch.setattr(reconciler, "record", fails)
    bench.run(600)
    assert next(count) > number
    assert study.trouble() is None
    assert len(study.outputs()) == 3
    assert sum(bench.jobs()) == 3


def failing_for(session: str, really: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that fails with what it is given of one session."""

    def fails(*given: Any, **options: Any) -> Any:
        states = [getattr(one, "state", one) for one in given]
        if any(isinstance(state, State) and state.session.id == session for state in states):
            raise ZeroDivisionError
        return really(*given, **options)

    return fails
