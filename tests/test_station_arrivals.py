"""Files that arrive in any order and pace, with pauses, renames and repeats, end as a quiet arrival does."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lab.bench import Bench
from tests.lab.stations import Station, station
from vipsync.station.steps import StudyState

FILES = {
    ("EXAM1", "svs/1.rda"): "one",
    ("EXAM1", "t1/1.ima"): "two",
    ("EXAM1", "t1/2.ima"): "three",
    ("EXAM2", "svs/1.rda"): "four",
    ("EXAM2", "t1/1.ima"): "five",
}
EXAMPLES = int(os.environ.get("VIPSYNC_EXAMPLES", "12"))


@dataclass(frozen=True)
class Arrival:
    """One file as it comes: in halves or whole, once or twice, and the pause after it.

    `part`: first under the name that receivers give to what is not whole. `moves`: then its exam's folder
    gets another name.
    """

    file: tuple[str, str]
    halves: bool
    twice: bool
    pause: float
    part: bool
    moves: bool


ARRIVALS = st.permutations(sorted(FILES)).flatmap(
    lambda order: st.tuples(
        *(
            st.builds(
                Arrival,
                st.just(file),
                st.booleans(),
                st.booleans(),
                st.sampled_from([0.0, 7.0, 40.0, 90.0]),
                st.booleans(),
                st.sampled_from([False, False, False, True]),
            )
            for file in order
        )
    )
)


def arrive(made: Station, arrivals: tuple[Arrival, ...]) -> None:
    """Let files come, all so close that no study is quiet for long enough before its last one."""
    called = {study: study for study, _ in FILES}
    for number, arrival in enumerate(arrivals):
        (study, name), content = arrival.file, FILES[arrival.file]
        first = f"{name}.part" if arrival.part else name
        if arrival.halves:
            made.write(called[study], {first: content[:1]})
            made.bench.run(arrival.pause / 2)
        made.write(called[study], {first: content})
        if arrival.part:
            made.rename(f"{called[study]}/{first}", f"{called[study]}/{name}")
        if arrival.twice:
            made.bench.run(3)
            made.write(called[study], {name: content})
        if arrival.moves:
            made.rename(called[study], f"{study}-{number}")
            called[study] = f"{study}-{number}"
        made.bench.run(arrival.pause)
    for study, now in called.items():
        if now != study:
            made.rename(now, study)


def end(made: Station) -> dict[str, object]:
    """Return what there is at rest: which studies ran, with which files, and what is on VIP.

    A folder whose name was another one meanwhile is told as gone: nobody knows yet whose it was.
    """
    inputs = {
        frozenset(made.session(name).inputs().items()): made.started().count(name)
        for name in made.sessions()
    }
    return {
        "sessions": inputs,
        "states": sorted(s for s in made.states().values() if s is not StudyState.GONE),
        "on VIP": made.bench.sessions_on_vip(),
    }


QUIETLY: dict[str, object] = {
    "sessions": {
        frozenset((name, text.encode()) for (of, name), text in FILES.items() if of == study): 1
        for study in ("EXAM1", "EXAM2")
    },
    "states": [StudyState.DONE, StudyState.DONE],
    "on VIP": [],
}


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(arrivals=ARRIVALS, renamed=st.booleans(), repeated=st.booleans(), restarted=st.booleans())
def test_any_arrival_ends_as_the_quiet_one(
    arrivals: tuple[Arrival, ...], *, renamed: bool, repeated: bool, restarted: bool
) -> None:
    """Each study is one session, launched once, with all of its files."""
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIPSYNC_DATA", f"{place}/private")
        bench = Bench(Path(place) / "here")
        try:
            made = station(bench, take='"copy"')
            arrive(made, arrivals)
            if restarted:
                bench.die()
            bench.rest()
            if renamed:
                made.rename("EXAM1", "EXAM9")
            if repeated:
                shutil.copytree(made.export / "EXAM2", made.export / "EXAM3")
            bench.rest()
            found = end(made)
        finally:
            bench.close()
    states = [StudyState.DONE, StudyState.DONE]
    again = [StudyState.SAME] * repeated
    assert found == {**QUIETLY, "states": sorted([*states, *again])}
