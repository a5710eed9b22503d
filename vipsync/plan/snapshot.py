"""One moment as the planner sees it: what lies here, what the ledger says, what this process remembers.

PURE: no I/O, no clock. `Memory` is the only thing here that changes, and only between plans: it
holds what is worth remembering while a process runs and must not outlive it, because it is
counted on the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from vipsync.cases.values import ON_VIP
from vipsync.model import (
    UNLIMITED,
    CaseSet,
    Descriptor,
    FileSetting,
    FileState,
    Lease,
    Lender,
    PackSetting,
    RelPath,
    Request,
    Settings,
    TransfersSettings,
)
from vipsync.plan.memory import Memory
from vipsync.rows import State

_VARIES = frozenset("*{")
"""What VIP takes in no value: it stands for what files are called."""


def _need_files(settings: Settings) -> bool:
    """Tell whether some setting is sure to speak of files on this machine.

    Without the pipeline's definition a word in a setting may be a word, or the name of a file.
    """
    return any(
        isinstance(item, FileSetting | PackSetting)
        or (isinstance(item, str) and _VARIES & set(item) and not item.strip().startswith(ON_VIP))
        for setting in settings.input_settings.values()
        for item in (setting if isinstance(setting, tuple) else (setting,))
    )


class Limits(Struct, frozen=True):
    """What holds over all folders of this machine now.

    `sending`: files may be sent, by the `hours`; `changes_at`: when to see whether they still may
    (monotonic s). `room`: bytes that may come onto the disk of outputs/, beside all that is coming.
    `outdated`: vipsync.toml says something else now than when the process that works here started.
    """

    settings: TransfersSettings = UNLIMITED
    sending: bool = True
    changes_at: float | None = None
    room: float = float("inf")
    outdated: bool = False


class Snapshot(Struct, frozen=True):
    """Everything that a plan is made from. `now` is monotonic, `wall` is UTC, both in seconds.

    `files` are those that settings may use; `named` are among them only because a setting names
    them. `unsettled` says for each file that still changes when it may be quiet (monotonic s); for
    one that cannot be read now, never (inf).
    `conflict_copies` are files that sync tools made, and that are left out.
    `odd_requests` are names of files among the requests that are none. `beside` is what lies beside
    inputs/ and may be data; `among_results` are files in outputs/ that somebody put there.
    `outputs` has a stamp for each recorded result that is there; `changing` says for those that still
    change when they may be quiet (monotonic s). `first_in_queue`: no other folder
    of this account has waited longer for a slot on VIP. `by_name`: a person said by its name that
    the session's folder on VIP may go, whatever id is in it. `gate`: the version of the privacy gate that
    judges what is sent, "" where none does. `texts`: what a script sends beside files and name.
    `limits`: what this machine allows.
    """

    now: float
    wall: float
    settings: Settings
    state: State
    memory: Memory
    descriptor: Descriptor | None = None
    settings_error: str = ""
    files: Mapping[RelPath, FileState] = {}
    named: frozenset[RelPath] = frozenset()
    unsettled: Mapping[RelPath, float] = {}
    unreadable: Mapping[RelPath, str] = {}
    cases: CaseSet = CaseSet()
    conflict_copies: tuple[RelPath, ...] = ()
    marker: bool = False
    outputs: Mapping[RelPath, str] = {}
    changing: Mapping[RelPath, float] = {}
    requests: tuple[Request, ...] = ()
    odd_requests: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    among_results: tuple[str, ...] = ()
    settle: float = 5.0
    windows: bool = False
    lender: Lender | None = None
    leases: tuple[Lease, ...] = ()
    first_in_queue: bool = True
    by_name: bool = False
    gate: str = ""
    texts: tuple[str, ...] = ()
    limits: Limits = Limits()

    @property
    def may_have_cases(self) -> bool:
        """Tell whether there may be cases: files are here, or the settings may need none of them."""
        return bool(self.files) or not _need_files(self.settings)
