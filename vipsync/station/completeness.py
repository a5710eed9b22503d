"""How places of the export stand that have no session yet: arriving, incomplete, held, or complete. PURE.

A study may lie in several places; what is required of it may be in any of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from msgspec import Struct

from vipsync.station.model import Place, Seen, Series, Study, View
from vipsync.station.steps import Act, Action, StudyState
from vipsync.status.status import count

TWINS = 3600.0
"""Seconds within which two studies of one person are taken for one: the console was rebooted."""

SURE = 60.0
"""Seconds for which a study must be quiet also where a person says that it is complete."""

STARTS = ("complete", "first", "merge")
"""Words that say: this study concerns us, though it lay there before."""


class Standing(Struct, frozen=True):
    """How a place stands, why, and what a person can do about it; `can`: by which words."""

    state: StudyState
    reason: str = ""
    remedy: str = ""
    can: tuple[str, ...] = ()


class Places:
    """The places of one moment, by the studies that they hold."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.ordered = sorted(view.state.places.values(), key=lambda place: place.age)
        self._by_study = defaultdict[str, list[Place]](list)
        for place in self.ordered:
            if place.study and place.id in view.places and place.word != "skip":
                self._by_study[place.study].append(place)

    def of(self, key: str) -> list[Place]:
        """Return the places of a study that are there, but for those that a person set aside."""
        return self._by_study.get(key, [])

    def moving(self, key: str) -> bool:
        """Tell whether more of a study comes, or was not read yet."""
        return any(self.view.places[place.id].print != place.read for place in self.of(key))

    def seen(self, place: Place) -> Seen:
        """Return a place as it was last looked at."""
        return self.view.places[place.id]

    def quiet_for(self, place: Place) -> float:
        """Return for how many seconds a place must be quiet."""
        return SURE if place.word == "complete" else self.view.settings.complete.quiet

    def is_before(self, place: Place) -> bool:
        """Tell whether a place lay there at the first run of the station, and has not grown since."""
        known = place.before is not None and self.seen(place).files <= place.before
        return known and place.word not in STARTS

    def standing(self, place: Place) -> Standing | None:
        """Return how a place stands, None where its study is complete."""
        return self._arriving(place) or self._read(place)

    def _arriving(self, place: Place) -> Standing | None:
        """Say how a place stands whatever is in it."""
        seen = self.seen(place)
        quiet = seen.quiet >= self.quiet_for(place)
        failed = self.view.failed.get(Action(Act.READ, place.id).key, "") if quiet else ""
        if place.word == "skip":
            return Standing(StudyState.SKIPPED, "by a person", can=("first",))
        if seen.problem or failed:
            words = f"it cannot be read: {seen.problem or failed}"
            return Standing(StudyState.HELD, words, can=("skip",))
        if self.is_before(place):
            say = f"`vipsync station complete DIR {place.handle}` starts it."
            words = "it lay there at the first run of the station"
            return Standing(StudyState.BEFORE, words, say, ("complete", "first"))
        if place.read != seen.print:
            can = ("skip",) if place.word == "complete" else ("complete", "skip")
            return Standing(StudyState.ARRIVING, f"{count(seen.files, 'file')} so far", can=can)
        return None

    def _read(self, place: Place) -> Standing | None:
        """Say how a place stands by what was read in it, and in the others of its study."""
        accept = self.view.settings.accept
        if accept and not _matches(self._words(place), accept) and place.word != "complete":
            words = f"nothing in it matches {', '.join(accept)}"
            return Standing(StudyState.NOT_OURS, words, can=("complete",))
        if place.contents.problem:
            return Standing(StudyState.HELD, place.contents.problem, can=("skip",))
        if place.word == "complete":
            return self._spread(place)
        if same := self.same(place):
            return Standing(StudyState.SAME, f"as {same.name}: it was exported again")
        return self._incomplete(place) or self._doubtful(place) or self._spread(place)

    def _words(self, place: Place) -> list[str]:
        return [word for one in self.of(place.study) or [place] for word in one.contents.words]

    def _incomplete(self, place: Place) -> Standing | None:
        words, complete = self._words(place), self.view.settings.complete
        lacks = [r for r in complete.require if not _matches(words, r.split("|"))]
        if complete.ready and not _matches(words, [complete.ready]):
            lacks.append(complete.ready)
        if lacks:
            return self._lacking(place, f"{', '.join(lacks)} did not come")
        lacking = self.lacking(self.of(place.study) or [place])
        return self._lacking(place, lacking) if lacking else None

    def lacking(self, places: Iterable[Place]) -> str:
        """Return what is missing between the images of a study, "" where a person has said that it is whole."""
        places = tuple(places)
        if any(place.word == "complete" for place in places):
            return ""
        found = [series for place in places for series in place.contents.series]
        missing = gaps(found) if self.view.settings.complete.instances else ()
        return "; ".join([*cut_short(found), *missing])

    def _lacking(self, place: Place, words: str) -> Standing:
        say = f"`vipsync station complete DIR {place.handle}` starts it as it is."
        return Standing(StudyState.INCOMPLETE, words, say, ("complete", "skip"))

    def _doubtful(self, place: Place) -> Standing | None:
        """Hold what only a person can tell: two studies that may be one."""
        if place.joined:
            return None
        merge = f"`vipsync station merge DIR {place.handle}`"
        if len(place.contents.studies) > 1:
            words = f"{len(place.contents.studies)} studies lie in it"
            say = f"{merge} takes them for one."
            return Standing(StudyState.HELD, words, say, ("merge", "skip"))
        if twin := self.twin(place):
            other = self.view.state.studies.get(twin.study)
            name = other.name if other else twin.handle
            words = f"{name} is another study of the same person, of the same hour"
            apart = f"`vipsync station complete DIR {place.handle}` keeps them apart."
            say, can = f"{merge} joins them, {apart}", ("merge", "complete", "skip")
            return Standing(StudyState.HELD, words, say, can)
        return None

    def _spread(self, place: Place) -> Standing | None:
        """Hold a study that lies in several places where its session can look into one only."""
        if len(self.of(place.study)) <= 1 or self.view.settings.copies:
            return None
        advice = 'Write take = "copy" in station.toml.'
        return Standing(StudyState.HELD, "it lies in several folders", advice, ("skip",))

    def same(self, place: Place) -> Study | None:
        """Return the study that has just the contents of a place which has no id of its own."""
        hashes = place.contents.hashes
        if place.study != place.id or not hashes:
            return None
        for study in self.view.state.studies.values():
            home = self.view.state.places.get(study.home)
            read = home.contents.hashes if home and home.id != place.id else ""
            if hashes in (study.content, study.filled, read):
                return study
        return None

    def twin(self, place: Place) -> Place | None:
        """Return the place of another study of the same person that came at the same time, the first one."""
        others = (
            other
            for other in self.ordered
            if place.person
            and other.person == place.person
            and other.study != place.study
            and other.before is None
            and abs(other.found_at - place.found_at) < TWINS
            and abs(other.newest - place.newest) < TWINS
        )
        return next(others, None)


def cut_short(found: Iterable[Series]) -> Iterator[str]:
    """Say of which series files are there in part."""
    for one in found:
        if one.cut:
            yield f"{one.name}: {count(one.cut, 'file')} of it came only in part"


def gaps(found: Iterable[Series]) -> Iterator[str]:
    """Say which images of series are missing; a series may have come in several parts."""
    numbers, announced, names = defaultdict[str, set[int]](set), dict[str, int](), dict[str, str]()
    for one in found:
        numbers[one.id] |= set(one.numbers)
        announced[one.id] = max(one.announced, announced.get(one.id, 0))
        names[one.id] = one.name
    for key, have in numbers.items():
        if not have:
            continue
        lacking = max(have) - min(have) + 1 - len(have)
        if lacking:
            yield f"{names[key]}: {lacking} of its instances between the first and the last are missing"
        elif announced[key] > len(have):
            yield f"{names[key]}: {len(have)} of {announced[key]} announced instances are there"


def _matches(words: Iterable[str], patterns: Iterable[str]) -> bool:
    """Tell whether a path, a name in it or a description fits one of some patterns, in any case."""
    wanted = [pattern.strip().casefold() for pattern in patterns]
    return any(
        fnmatchcase(part, pattern)
        for word in words
        for part in (word.casefold(), word.casefold().rpartition("/")[2])
        for pattern in wanted
    )
