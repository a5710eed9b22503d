"""Lists on VIP that differ on each look, and results that change after they were listed: the newest comes, whole."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from tests.lab.bench import Bench
from vipsync.rows import Phase

OLD, NEW = b"first result", b"the second result, which is longer"
NAME = "a.mrui.tgz"


class Changing(httpx.BaseTransport):
    """Hand requests on; let `before` know of each, and take the result out of a list where `hides` says so."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner, self.lists, self.fails = inner, 0, False
        self.hides: Callable[[int], bool] = lambda _number: False
        self.resizes: Callable[[int], int] = lambda _number: 0
        self.before: Callable[[httpx.Request], None] = lambda _request: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer; lists of the results are counted from one."""
        self.before(request)
        answer = self._inner.handle_request(request)
        lists = request.url.params.get("action") == "list" and "/OUTPUTS/" in request.url.path
        if not lists or answer.status_code != 200:
            return answer
        self.lists += 1
        if self.fails:
            return httpx.Response(500)
        entries = json.loads(answer.read())
        for entry in entries:
            entry["size"] += 0 if entry["isDirectory"] else self.resizes(self.lists)
        shown = [e for e in entries if not (e["path"].endswith(NAME) and self.hides(self.lists))]
        return httpx.Response(200, json=shown)


@pytest.fixture
def vip(bench: Bench) -> Changing:
    """Return what stands between a bench and its VIP."""
    bench.runner.work = lambda _job: {"fit": OLD}
    bench.transport = Changing(bench.transport)
    return bench.transport


def rewrite(bench: Bench, content: bytes) -> None:
    """Let a late writer replace the result on VIP."""
    (path,) = bench.home.glob(f"study/OUTPUTS/*/{NAME}")
    path.write_bytes(content)


def at_first(word: str, then: Callable[[], None]) -> Callable[[httpx.Request], None]:
    """Do something once, before the first request whose address has a word in it."""
    done = list[httpx.Request]()

    def before(request: httpx.Request) -> None:
        if word in str(request.url) and "/OUTPUTS/" in request.url.path and not done:
            done.append(request)
            then()

    return before


def newest(bench: Bench) -> list[bytes]:
    """Finish the session, see that VIP is emptied only with everything here, and return the results."""
    (study,) = bench.studies
    bench.rest()
    assert not bench.count("DELETE")
    study.marker.unlink()
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert bench.sessions_on_vip() == []
    return list(study.outputs().values())


HIDES: dict[str, Callable[[int], bool]] = {
    "the first": lambda n: n == 1,
    "the first three": lambda n: n <= 3,
    "every other": lambda n: n % 2 == 1,
    "all but the first": lambda n: n > 1,
}


@pytest.mark.parametrize("hides", HIDES)
def test_a_result_that_is_not_in_every_list_comes(bench: Bench, vip: Changing, hides: str) -> None:
    """Nothing is removed from VIP before it is here, whichever lists lack it."""
    vip.hides = HIDES[hides]
    bench.study(a="one")
    assert newest(bench) == [OLD]


@pytest.mark.parametrize("content", [NEW, OLD[:4]], ids=["longer", "shorter"])
def test_a_result_that_changes_before_it_is_fetched_comes_as_it_is_then(
    bench: Bench, vip: Changing, content: bytes
) -> None:
    """What was listed is no longer true: neither half of the one nor of the other is taken."""
    vip.before = at_first("action=content", lambda: rewrite(bench, content))
    bench.study(a="one")
    assert newest(bench) == [content]


@pytest.mark.parametrize("lists", [1, 3, 5])
def test_sizes_that_differ_in_each_list_bring_nothing_half(
    bench: Bench, vip: Changing, lists: int
) -> None:
    """As long as list and content do not agree, nothing is taken; then it comes."""
    vip.resizes = lambda number: number if number <= lists else 0
    bench.study(a="one")
    assert newest(bench) == [OLD]


@pytest.mark.parametrize("content", [NEW, OLD[:4]], ids=["longer", "shorter"])
def test_a_result_rewritten_after_it_came_is_here_before_vip_is_emptied(
    bench: Bench, vip: Changing, content: bytes
) -> None:
    """What was listed within the hour is looked at once more when the session ends."""
    study = bench.study(a="one")
    bench.until(lambda: bool(study.outputs()))
    bench.rest()
    rewrite(bench, content)
    assert sorted(newest(bench)) == sorted([OLD, content])


def test_a_result_that_is_written_after_the_last_list_is_here_before_vip_is_emptied(
    bench: Bench, vip: Changing
) -> None:
    """A late writer's second file counts as one that was there in time."""
    study = bench.study(a="one")
    bench.until(lambda: bool(study.outputs()))
    bench.rest()
    (path,) = bench.home.glob(f"study/OUTPUTS/*/{NAME}")
    path.with_name("late.txt").write_bytes(NEW)
    assert sorted(newest(bench)) == sorted([OLD, NEW])


def test_a_last_look_that_cannot_be_had_holds_what_is_on_vip(bench: Bench, vip: Changing) -> None:
    """Nobody knows whether a result was written anew: a person says so, or VIP lists again."""
    study = bench.study(a="one")
    bench.until(lambda: bool(study.outputs()))
    bench.rest()
    rewrite(bench, NEW)
    vip.fails = True
    study.marker.unlink()
    bench.run(1200)
    assert not bench.count("DELETE")
    vip.fails = False
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert sorted(study.outputs().values()) == sorted([OLD, NEW])


def test_a_person_may_finish_without_a_last_look(bench: Bench, vip: Changing) -> None:
    """`vipsync finish DIR --without ID` lets an execution go that VIP does not list any more."""
    study = bench.study(a="one")
    bench.until(lambda: bool(study.outputs()))
    bench.rest()
    vip.fails = True
    study.marker.unlink()
    bench.until(lambda: study.says("--without"))
    (execution,) = study.state.executions
    study.ask("finish", execution)
    bench.until(lambda: study.phase() is Phase.CLOSED)
    assert list(study.outputs().values()) == [OLD]
