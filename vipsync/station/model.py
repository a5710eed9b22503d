"""What a station is told, what it sees and what it remembers. PURE: values only.

A *place* is where data of a study arrive: a folder, a lone file, or all files of one
StudyInstanceUID. A *study* is what gets a session; it may have been exported to several places.
Nothing here holds a path or a name of the export: places and studies are known by what a secret of
this machine makes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

DIGEST = 16
"""Letters of a content's hash that tell it from others of one station."""


class CompleteSettings(Struct, frozen=True):
    """Section [complete]: when a study is whole. Times in seconds."""

    quiet: float = 600.0
    require: tuple[str, ...] = ()
    ready: str = ""
    instances: bool = True
    needs_you: float = 86400.0


class LateSettings(Struct, frozen=True):
    """Section [late]: what to do with data that come after the launch."""

    series: Literal["hold", "rerun"] = "hold"


class KeepSettings(Struct, frozen=True):
    """Section [keep]."""

    finish: Literal["download", "marker"] = "download"


class StationSettings(Struct, frozen=True):
    """station.toml, validated. `exports` are absolute paths."""

    exports: tuple[str, ...] = ()
    by: Literal["folder", "StudyInstanceUID"] = "folder"
    study: str = "{exam}/"
    accept: tuple[str, ...] = ()
    since: str = "now"
    name: str = "S{n:04}"
    template: str = "template"
    take: Literal["point", "copy"] = "point"
    prepare: tuple[str, ...] = ()
    complete: CompleteSettings = field(default_factory=CompleteSettings)
    late: LateSettings = field(default_factory=LateSettings)
    keep: KeepSettings = field(default_factory=KeepSettings)

    @property
    def copies(self) -> bool:
        """Tell whether a session has files of its own, rather than looking into the export."""
        return self.take == "copy" or bool(self.prepare)


# what is seen now


class Seen(Struct, frozen=True):
    """A place as it was last looked at.

    `print` changes with the name, size, times and inode of any file. `newest` is the time of its
    newest file (UTC s), `study` and `person` what the first header says while it still grows. `changed_at`: its last seen difference (monotonic s). `problem` says why a part of it could not be looked at.
    """

    print: str
    files: int
    size: int
    changed_at: float
    looked_at: float
    problem: str = ""
    newest: float = 0.0
    study: str = ""
    person: str = ""

    @property
    def quiet(self) -> float:
        """Return for how many seconds it has been seen unchanged."""
        return self.looked_at - self.changed_at


class Series(Struct, frozen=True):
    """The images of one DICOM series in a place, by their numbers; `announced` is how many a header says.

    `cut` is how many files end before what they announce: whoever wrote them broke off.
    """

    id: str
    name: str
    numbers: tuple[int, ...] = ()
    announced: int = 0
    cut: int = 0


class Contents(Struct, frozen=True):
    """What was read in a place that was quiet.

    `studies` are the studies in it; `person` tells persons apart, empty where no header has one.
    `hashes` are of its files' contents, `DIGEST` letters each, sorted. `words` are what patterns are
    looked for in: paths inside the place and descriptions of series.
    """

    studies: tuple[str, ...] = ()
    person: str = ""
    hashes: str = ""
    words: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()
    problem: str = ""


def split(hashes: str) -> set[str]:
    """Return the single contents of a text of hashes."""
    return {hashes[at : at + DIGEST] for at in range(0, len(hashes), DIGEST)}


def together(hashes: Iterable[str]) -> str:
    """Return the contents of several texts of hashes as one."""
    texts = set(hashes)
    return texts.pop() if len(texts) == 1 else "".join(sorted(set().union(*map(split, texts))))


def beyond(hashes: str, known: str) -> set[str]:
    """Return the single contents of a text that another one lacks: quick where both are the same."""
    return set() if hashes == known else split(hashes) - split(known)


class SessionSeen(Struct, frozen=True):
    """How the session of a study is. `answered` are the requests that it has carried out, `heard` all others.

    `started` are those of which VIP has an execution. `over`: nothing can advance there without a
    person. `code` and `words` say how it is, as `status` does.
    """

    answered: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    over: bool = False
    code: int = 0
    words: str = ""
    heard: frozenset[str] = frozenset()


# what is remembered


class Stage(StrEnum):
    """How far a study has come; each stage is left by one action."""

    NAMED = "named"  # its folder may be there, or not yet
    MADE = "made"  # its folder is there, with settings
    FILLED = "filled"  # so are its inputs
    ASKED = "asked"  # the launch was asked for
    STARTED = "started"  # VIP has an execution
    ENDED = "ended"


class Station(Struct, frozen=True):
    """The one row about the station itself. `since` (UTC s): when it began to look.

    `pins` are device and inode of each export. `began`: what lay there at the start is written down.
    """

    id: str
    since: float = 0.0
    pins: tuple[str, ...] = ()
    began: bool = False


class Place(Struct, frozen=True):
    """A place of the export. Times in UTC seconds.

    `read` is its print when it was last read, `contents` what was found then. `before`: the number of
    files that it had at the first run of the station, where it then was there. `word` is what a person
    said of it; `joined` the study that a person said it belongs to; `newest` the time of its newest file
    when it was found. `first_study` and `first_person` are what its first header said.
    """

    id: str
    found_at: float
    changed_at: float
    print: str = ""
    read: str = ""
    contents: Contents = Contents()
    before: int | None = None
    word: str = ""
    joined: str = ""
    newest: float = 0.0
    first_study: str = ""
    first_person: str = ""

    @property
    def age(self) -> tuple[float, float, str]:
        """Order places: by when they were found, then by their newest file then."""
        return (self.found_at, self.newest, self.id)

    @property
    def handle(self) -> str:
        """How people call a place that has no session yet."""
        return self.id[:6]

    @property
    def study(self) -> str:
        """Return the study that it holds, empty while nobody knows."""
        read = self.contents.studies[0] if self.contents.studies else ""
        return self.joined or read or self.first_study

    @property
    def person(self) -> str:
        """Return what tells its person from others, empty while nobody knows."""
        return self.contents.person or self.first_person


class Study(Struct, frozen=True):
    """A study that has a session, or is about to. Times in UTC seconds.

    `asked` counts the launches that were asked for, `ran` is the last of them that started, `content` is what the last one was for, `filled`
    what the session's own copy holds. `pauses` counts how often it was told to wait, as more data came
    before it had started, or to go on: it waits while that is odd. `first`: a person moved it up.
    `home`: the place that the session points at.
    """

    key: str
    name: str
    number: int
    subject: int
    person: str
    found_at: float
    stage: Stage = Stage.NAMED
    home: str = ""
    filled: str = ""
    content: str = ""
    asked: int = 0
    ran: int = 0
    asked_at: float | None = None
    ended_at: float | None = None
    pauses: int = 0
    first: float | None = None
    word: str = ""
    code: int = 0
    outcome: str = ""

    @property
    def waits(self) -> bool:
        """Tell whether its session was told to wait."""
        return self.pauses % 2 == 1

    @property
    def after_filling(self) -> Stage:
        """Return where it stands once its files are there: a launch that was asked for still is."""
        return Stage.ASKED if self.asked > self.ran else Stage.FILLED

    @property
    def request(self) -> str:
        """Return the id of the request for the launch that is asked for: the same after a crash."""
        return f"station-{self.key[:12]}-{self.asked}"

    @property
    def pause_request(self) -> str:
        """Return the id of the last request to wait, or to go on."""
        return f"{self.request}-wait-{self.pauses}"


class Answered(Struct, frozen=True):
    """A person's request that was carried out; its file may be deleted."""

    id: str


Row = Station | Place | Study | Answered


class State(Struct):
    """All rows of a station's ledger; only the ledger changes it."""

    station: Station
    places: dict[str, Place] = {}
    studies: dict[str, Study] = {}
    answered: set[str] = set()
    version: int = 0

    def put(self, rows: Iterable[Row]) -> None:
        """Put rows in place."""
        self.version += 1
        for row in rows:
            match row:
                case Station():
                    self.station = row
                case Place():
                    self.places[row.id] = row
                case Study():
                    self.studies[row.key] = row
                case Answered():
                    self.answered.add(row.id)


class Asked(Struct, frozen=True):
    """What a person asked of a station: one of `WORDS`, and the study by name or handle."""

    id: str
    word: str
    study: str


WORDS = ("complete", "skip", "take-late", "merge", "first")
"""What can be said of a study."""


# what a look shows


class View(Struct, frozen=True):
    """One moment of a station. `now` is monotonic, `wall` UTC, both in seconds.

    `last`: how sessions that are let go said last that they are. `by_hand`: those of which a person asks something.
    """

    now: float
    wall: float
    settings: StationSettings
    state: State
    places: Mapping[str, Seen] = {}
    sessions: Mapping[str, SessionSeen] = {}
    asked: tuple[Asked, ...] = ()
    taken_names: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    failed: Mapping[str, str] = {}
    last: Mapping[str, SessionSeen] = {}
    by_hand: frozenset[str] = frozenset()
