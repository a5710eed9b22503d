"""Values that all phases share: frozen, typed, small. Nothing here reads, writes or decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from os import stat_result
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NewType

from msgspec import Meta, Struct, field, structs

_LAST = 253_402_214_400.0
"""The last day of the year 9999."""


def moment(seconds: float, zone: tzinfo | None = None) -> datetime:
    """Return a time, in this machine's zone unless in another; one that no calendar has, as near as can be."""
    try:
        return datetime.fromtimestamp(seconds, zone).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(min(max(0.0, seconds), _LAST), UTC)


RelPath = NewType("RelPath", str)
"""A path inside inputs/ or outputs/: POSIX, NFC, no empty part, no `.` or `..`; see `names.relpath`."""

VipPath = NewType("VipPath", str)
"""An absolute path on VIP, as `/vip/Home/API/study/INPUTS/001.mrui`."""

BLOCK = 1024 * 1024
"""Bytes that a stream moves at a time."""

MAX_JOBS_ON_VIP = 1000
"""Jobs above which VIP's engine gives up on an execution (facts 5.4)."""

MOST_TRANSFERS = 8
"""Transfers at once over all folders, far below what chokes VIP (facts 3.8)."""

PORTAL = "https://vip.creatis.insa-lyon.fr"
"""The production portal (facts 1.1)."""


if TYPE_CHECKING:
    from dataclasses import replace as replace  # type checkers know what it may change
else:

    def replace(value, /, **changes):
        """Return a copy of a struct or a dataclass with other values."""
        kind = structs if isinstance(value, Struct) else dataclasses
        return kind.replace(value, **changes)


class Secret:
    """An API key; whatever prints it shows that there is one, and no more.

    `origin`: where it came from; `instead`: what takes another one in its place, "" where there is none.
    """

    __slots__ = ("_text", "instead", "origin")

    def __init__(self, text: str, origin: str = "", instead: str = "") -> None:
        self._text = text
        self.origin, self.instead = origin, instead

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text


class Given:
    """What a person gives as a key, or as the place of one; whatever prints it shows nothing of it."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value: object = value.value if isinstance(value, Given) else value

    def __repr__(self) -> str:
        return "Given(…)"


class Environment(Mapping[str, str]):
    """The environment of a process, secrets and all; whatever prints it shows nothing of it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __repr__(self) -> str:
        return "Environment(…)"

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


# what VIP says (facts 3-5)


class ExecutionStatus(StrEnum):
    """State of an execution (facts 5.8)."""

    INITIALIZING = "Initializing"
    READY = "Ready"
    RUNNING = "Running"
    FINISHED = "Finished"
    INITIALIZATION_FAILED = "InitializationFailed"
    EXECUTION_FAILED = "ExecutionFailed"
    UNKNOWN = "Unknown"
    KILLED = "Killed"

    @property
    def ended(self) -> bool:
        """True when no job will start any more."""
        return self in _ENDED


_ENDED = frozenset(
    {
        ExecutionStatus.FINISHED,
        ExecutionStatus.INITIALIZATION_FAILED,
        ExecutionStatus.EXECUTION_FAILED,
        ExecutionStatus.KILLED,
    }
)


class JobState(StrEnum):
    """What VIP's eighteen job statuses mean to a person (facts 5.9)."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    HELD = "held"


class Job(Struct, frozen=True):
    """One job of an execution. `exit_code` is -1 while it is not known (facts 5.9)."""

    number: int
    status: str
    exit_code: int = -1
    exit_message: str = ""

    @property
    def state(self) -> JobState:
        """Fold VIP's status into the five that matter."""
        if self.status.endswith("_HELD"):
            return JobState.HELD
        return _JOB_STATES.get(self.status, JobState.RUNNING)

    @property
    def left_logs(self) -> bool:
        """True when it failed by itself: one that was cancelled or deleted has no logs (facts 5.10)."""
        return self.status == "ERROR"


_JOB_STATES = {
    "SUCCESSFULLY_SUBMITTED": JobState.QUEUED,
    "QUEUED": JobState.QUEUED,
    "COMPLETED": JobState.DONE,
    "ERROR": JobState.FAILED,
    "CANCELLED": JobState.FAILED,
    "DELETED": JobState.FAILED,
}


class Execution(Struct, frozen=True):
    """One execution as VIP tells it (facts 5.7). `started` is in seconds since the epoch, UTC."""

    id: str
    name: str
    pipeline_id: str
    status: ExecutionStatus
    started: float | None = None
    input_values: Mapping[str, str] = {}
    returned_files: Mapping[str, tuple[VipPath, ...]] = {}
    jobs: tuple[Job, ...] = ()

    @property
    def results_folder(self) -> VipPath | None:
        """Where the outputs land, timestamp included; None until the engine has said so."""
        folder = self.input_values.get("results-directory")
        return VipPath(folder.rstrip("/")) if folder else None


class Odd(StrEnum):
    """Why what VIP lists cannot be asked for: words for people."""

    SHAPE = "what VIP says of it makes no sense."
    SIZE = "VIP does not say how many bytes it has."
    NAME = "its name has characters that cannot be asked for, as a line break, or is too long."
    ELSEWHERE = "VIP lists it in a folder in which it does not lie."
    DEEP = "so many folders lie in one another there that vipsync does not look further."
    MANY = "the results are in so many files and folders that vipsync does not look further."


class RemoteEntry(Struct, frozen=True):
    """A file or a folder on VIP. `size` is in bytes for a file, meaningless for a folder (facts 3.1).

    `odd`: why it cannot be asked for, whatever it is.
    """

    path: VipPath
    is_folder: bool
    size: int = 0
    odd: Odd | None = None


class Platform(Struct, frozen=True):
    """What the server says of itself. `max_download` is in bytes (facts 1.5)."""

    name: str
    max_download: int | None
    email: str = ""


class ParameterType(StrEnum):
    """Type of a pipeline's parameter (facts 4.1)."""

    FILE = "File"
    STRING = "String"
    BOOLEAN = "Boolean"
    INTEGER = "Int64"
    DOUBLE = "Double"
    LIST = "List"


Scalar = str | int | float | bool


class Parameter(Struct, frozen=True):
    """One input of a pipeline. `element` is the type of each item where `type` is LIST."""

    name: str
    type: ParameterType
    optional: bool = False
    default: Scalar | None = None
    description: str = ""
    label: str = ""
    choices: tuple[Scalar, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    value_key: str = ""
    element: ParameterType | None = None

    @property
    def required(self) -> bool:
        """True when an execution cannot start without a value for it."""
        return not self.optional and self.default is None

    @property
    def value_type(self) -> ParameterType:
        """Return the type of one value: VIP turns each item of a list into a job (facts 5.3)."""
        return self.element or self.type

    @property
    def takes_files(self) -> bool:
        """True when its values are files, so that settings may name patterns."""
        return self.value_type is ParameterType.FILE


class Output(Struct, frozen=True):
    """One output file of a job: where its name comes from (facts 6.2, 7.5)."""

    id: str
    path_template: str
    optional: bool = False
    stripped_extensions: tuple[str, ...] = ()
    conditional: bool = False
    value_key: str = ""


class Descriptor(Struct, frozen=True):
    """What vipsync needs of a pipeline's Boutiques descriptor (facts 4, 5.4, 7).

    `hidden` are the inputs that VIP fills in itself, by copying others (`overridden`).
    """

    pipeline_id: str
    name: str
    version: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    hidden: tuple[Parameter, ...] = ()
    outputs: tuple[Output, ...] = ()
    dot: frozenset[str] = frozenset()
    directory_patterns: Mapping[str, tuple[str, ...]] = {}
    int_iterators: frozenset[str] = frozenset()
    overridden: Mapping[str, str] = {}
    results_suffix: str | None = None

    def parameter(self, name: str) -> Parameter | None:
        """Find a parameter by its id."""
        return next((p for p in self.parameters if p.name == name), None)


# what lies in the folder


class FileState(Struct, frozen=True, gc=False, array_like=True):
    """What must stay equal while a file is quiet. Times in ns; compared for equality only."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, info: stat_result) -> FileState:
        """Return the state that a stat call shows."""
        return cls(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


# settings.toml (house 4.1)


class FileSetting(Struct, frozen=True):
    """`{ file = "{subject}/press.mrui", as = "{subject}.mrui" }`: another name on VIP."""

    file: str
    as_name: str


class PackKind(StrEnum):
    """The archive that a folder becomes before it is sent."""

    ZIP = "zip"
    TAR = "tar"
    TGZ = "tgz"


class PackSetting(Struct, frozen=True):
    """`{ zip = "{subject}/dicom/", as = "{subject}.zip" }`: pack a folder before sending it."""

    kind: PackKind
    folder: str
    as_name: str = ""


InputSetting = Scalar | FileSetting | PackSetting | tuple[Scalar | FileSetting | PackSetting, ...]


class InputsSettings(Struct, frozen=True):
    """Section [inputs]. `settle` in seconds, None: by the kind of file system."""

    directory: str = "inputs"
    ignore: tuple[str, ...] = ()
    upload: Literal["used", "all"] = "used"
    settle: float | None = None
    ready: str = ""
    share: str = ""


class LaunchSettings(Struct, frozen=True):
    """Section [launch]."""

    when: Literal["new", "manual"] = "new"
    nb_runs: int = 1
    max_jobs: int = 200
    confirm_above: int = 500


class MonitorSettings(Struct, frozen=True):
    """Section [monitor], in seconds."""

    refresh_time: float = 30.0
    stall_after: float = 86400.0


class OutputsSettings(Struct, frozen=True):
    """Section [outputs]."""

    directory: str = "outputs"
    unzip: bool = True
    keep_archive: bool = False
    get_status: tuple[ExecutionStatus, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


class FinishSettings(Struct, frozen=True):
    """Section [finish]; `grace` and `timeout` in seconds."""

    after: Literal["marker", "download"] = "marker"
    running: Literal["wait", "kill"] = "wait"
    grace: float = 10.0
    timeout: float = 300.0
    keep_input: bool = False
    keep_output: bool = False


class PrivacySettings(Struct, frozen=True):
    """Section [privacy]: what goes to VIP although the gate would refuse it.

    `accept` has for a field the patterns of values that are pseudonyms, `allow` the reason for which any value
    may go, `plain` patterns of files that hold no identity by a person's word; `off` is the reason for looking at
    nothing. `must_read`: other files that nobody can read are refused, rather than told.
    """

    accept: tuple[tuple[str, tuple[str, ...]], ...] = ()
    allow: tuple[tuple[str, str], ...] = ()
    plain: tuple[str, ...] = ()
    strict: bool = False
    must_read: bool = False
    off: str = ""


class Settings(Struct, frozen=True):
    """settings.toml, validated. `session_name` and `portal` are always filled in."""

    session_name: str
    pipeline_id: str | None = None
    portal: str = PORTAL
    api_key: str = "VIP_API_KEY"
    input_settings: Mapping[str, InputSetting] = {}
    inputs: InputsSettings = field(default_factory=InputsSettings)
    launch: LaunchSettings = field(default_factory=LaunchSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    outputs: OutputsSettings = field(default_factory=OutputsSettings)
    finish: FinishSettings = field(default_factory=FinishSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)

    SOURCE: ClassVar[str] = "settings.toml"


# vipsync.toml: what holds for all folders of a process (house 4.1)


class TransfersSettings(Struct, frozen=True):
    """Section [transfers], over all folders. `upload` and `download` in bytes per second, 0: no ceiling.

    `hours`: minutes of the local day from which and until which files are sent, None: always.
    `free`: the share of a disk that stays free.
    """

    streams: int = MOST_TRANSFERS
    upload: float = 0.0
    download: float = 0.0
    hours: tuple[int, int] | None = None
    free: float = 0.05


UNLIMITED = TransfersSettings(free=0.0)
"""What holds where there is no vipsync.toml."""


NotifyEvent = Literal["person", "failed", "done", "stopped"]


class NotifySettings(Struct, frozen=True):
    """Section [notify]. `urls` names a variable or a file that holds them; `quiet` in seconds."""

    urls: str = "VIPSYNC_NOTIFY"
    on: tuple[NotifyEvent, ...] = ("person", "failed", "done", "stopped")
    quiet: float = 900.0


class PageSettings(Struct, frozen=True):
    """Section [page]: HOST:PORT at which `run` serves the page too; empty: it does not."""

    address: str = ""


class MachineSettings(Struct, frozen=True):
    """vipsync.toml, validated."""

    folders: tuple[str, ...] = ()
    transfers: TransfersSettings = field(default_factory=TransfersSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    page: PageSettings = field(default_factory=PageSettings)

    SOURCE: ClassVar[str] = "vipsync.toml"


# cases (house 4.2)


class Text(Struct, frozen=True):
    """A value that goes to VIP as it stands: a number, a word, a path that is already on VIP."""

    text: str


class InputFile(Struct, frozen=True, gc=False):
    """A file of inputs/; `as_name` is its path on VIP below INPUTS where it is not the same."""

    path: RelPath
    as_name: str = ""


class InputFolder(Struct, frozen=True):
    """A folder of inputs/ given as one value, with the files in it, sorted."""

    path: RelPath
    members: tuple[RelPath, ...]


class PackedFolder(Struct, frozen=True):
    """A folder of inputs/ that is sent as one archive; path "" is inputs/ itself.

    One with `as_name` is called so on VIP, and its members are named from the folder on: its own
    name goes nowhere.
    """

    path: RelPath
    kind: PackKind
    members: tuple[RelPath, ...]
    as_name: str = ""

    @property
    def bare(self) -> bool:
        """Tell whether the folder's own name is left out of the archive."""
        return bool(self.as_name)


InputValue = Text | InputFile | InputFolder | PackedFolder


class Case(Struct, frozen=True):
    """One choice of a value for everything that varies: in the end, one job.

    `own` are the files that a pattern or a list chose, `shared` the others; both sorted.
    `waits_for` names what is missing: the case is complete when it is empty. `error` says why
    the values cannot be launched at all.
    """

    id: str
    values: Mapping[str, InputValue]
    own: tuple[RelPath, ...] = ()
    shared: tuple[RelPath, ...] = ()
    names: Mapping[str, str] = {}
    waits_for: tuple[str, ...] = ()
    error: str = ""

    @property
    def complete(self) -> bool:
        """True when each of its files is there and its values can be launched."""
        return not self.waits_for and not self.error


class ExpectedOutput(Struct, frozen=True):
    """An output that one job will write, as a path below the results folder (facts 6.2, 7.5).

    `name` is None where it cannot be known beforehand: a wildcard or a condition decides it.
    """

    output: str
    name: str | None
    optional: bool = False


class Group(Struct, frozen=True):
    """Cases that start together in one execution: what varies as lists, the rest as single values.

    `values[parameter]` are the values in the order VIP must get them: paired by index under
    `vip:dot` (equal ones repeated), each once elsewhere. `expected[case id]` is what the jobs of
    that case will write. `jobs` is the number that VIP will start.
    """

    cases: tuple[Case, ...]
    values: Mapping[str, tuple[InputValue, ...]]
    jobs: int
    expected: Mapping[str, tuple[ExpectedOutput, ...]]


class Unused(Struct, frozen=True):
    """A file that no setting uses, with the pattern that comes nearest."""

    path: RelPath
    nearest: str = ""


class CaseSet(Struct, frozen=True):
    """All cases of a folder at one moment, in a fixed order, and what belongs to none."""

    cases: tuple[Case, ...] = ()
    unused: tuple[Unused, ...] = ()
    warnings: tuple[str, ...] = ()


class Command(StrEnum):
    """What can be asked of the process that holds a folder."""

    PAUSE = "pause"
    RESUME = "resume"
    LAUNCH = "launch"
    RERUN = "rerun"
    CANCEL = "cancel"
    FINISH = "finish"
    KEEP = "finish --cancel"
    FORGET = "forget"


class Request(Struct, frozen=True):
    """What a command asked of the process that holds the folder."""

    id: str
    command: Command
    cases: tuple[str, ...] = ()
    options: Mapping[str, str] = {}


class Lent(Struct, frozen=True):
    """A file that another session has on VIP, unchanged since."""

    vip: VipPath
    sha256: str


class Lender(Struct, frozen=True):
    """The session folder whose inputs on VIP are used instead of sending them again.

    `packs` are its archives by what identifies and what ends them, `hashes` those of files that it has read, on VIP
    or not.
    `leased_at` (UTC seconds): it was told that they are in use.
    """

    folder: str
    files: Mapping[RelPath, Lent] = {}
    packs: Mapping[tuple[str, str], VipPath] = {}
    hashes: Mapping[RelPath, str] = {}
    leased_at: float | None = None


class Lease(Struct, frozen=True):
    """Another session runs with our inputs on VIP; `at` in UTC seconds."""

    session_id: str
    folder: str
    host: str
    at: Annotated[float, Meta(ge=0, le=1e11)]
