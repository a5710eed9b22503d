"""Every error that vipsync raises on purpose.

    VipsyncError
    ├── SettingsError (also ValueError)     settings.toml, or an option, says something that cannot be
    ├── Unclear                             which folders a command is about was not said
    ├── PropertyError                       a property or an argument of a script's session cannot be
    │   ├── PropertyTypeError (also TypeError)        another kind of thing, or an argument is missing
    │   ├── PropertyValueError (also ValueError)      of the right kind, but not this one
    │   └── PropertyMissing (also AttributeError)     something that is needed was never set
    ├── InputsMissing (also FileNotFoundError)   a script names files that are not there
    ├── InputsUnreadable (also OSError)     what lies in a script's data set cannot be read
    ├── InputsRefused (also ValueError)     inputs name somebody, and a script asked to refuse them
    ├── InputsThere (also FileExistsError)  a script's session has inputs of its own on VIP
    ├── ResultsMissing                      results that a script asked for are not on this machine
    ├── FolderError                         the session folder is not as it must be
    │   ├── NotASession                     no settings.toml there
    │   ├── FolderHeld                      another process works in it
    │   │   └── HeldElsewhere               one on another machine does
    │   ├── FolderAbsent                    unmounted, emptied, unreadable or replaced: never "deleted"
    │   ├── FolderCopied                    the same id also lies elsewhere
    │   └── StillOnVip                      nobody else knows of its data on VIP
    ├── NameTaken                           the session's folder on VIP belongs to somebody else
    ├── ItemError                           concerns one file, case or result; the others go on
    │   ├── LocalFileError                  a local file changed, vanished or cannot be read
    │   ├── NameRefused                     VIP cannot hold this name, or two files would share it
    │   ├── TransferMismatch                another number of bytes arrived than was sent
    │   ├── TooLarge                        above what the server lets through
    │   ├── ArchiveRefused                  an archive that is not unpacked, and why
    │   └── ForeignPath                     a path from VIP that has no place in the folder
    ├── MachineTooSmall                     a limit of this machine is below what is needed
    ├── DiskError (also OSError)            no space, read-only, permission lost on this machine
    │   └── InTheWay                        a link or a file where a folder of ours belongs
    ├── Unreachable (also ConnectionError)  no answer from VIP
    │   └── NeverSent                       the request did not leave this machine
    └── VipError (also RuntimeError)        VIP answered, but not with what was asked
        ├── KeyMissing, KeyRefused          no key, or VIP does not know it
        ├── PipelineUnavailable             8005 8007 8008: unknown here, or not in the right group
        ├── SlotsFull                       2000 2001: the limit of running executions; wait
        ├── InvalidInput                    8009 8018 8019: VIP refuses a value or a name
        ├── PathForbidden                   8013: outside what this account may touch
        ├── ExecutionGone                   8015: deleted on VIP
        ├── GenericVipError                 8000: anything else, reason only in the server's log
        └── BadAnswer                       not JSON, or JSON of another shape

Each class says what it concerns (`scope`), whether trying again helps (`transient`), with which code
a command ends (`exit_code`), and each instance what a person can do (`remedy`) and after how many
seconds the server wants to be asked again (`retry_after`, None where it did not say).

What a script can meet is the builtin error that vip-client raises in that place, and no other: a
loop that tries again after a RuntimeError must not try a mistake for ever.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Scope(StrEnum):
    """What an error stops."""

    ITEM = "item"
    SESSION = "session"
    ACCOUNT = "account"


class VipsyncError(Exception):
    """Say what went wrong, and what to do about it."""

    scope: ClassVar[Scope] = Scope.SESSION
    transient: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class SettingsError(VipsyncError, ValueError):
    """Name the file, the key and the nearest right word."""


class Unclear(VipsyncError):
    """No folder is named where none is meant by itself, or so many that it could be a mistake."""

    exit_code = 2


class PropertyError(VipsyncError):
    """A property or an argument of a script's session cannot be."""


class PropertyTypeError(PropertyError, TypeError):
    """It is another kind of thing than is asked for, or an argument is missing or unknown."""


class PropertyValueError(PropertyError, ValueError):
    """It is the right kind of thing, but cannot be this one."""


class PropertyMissing(PropertyError, AttributeError):
    """Something that is needed was never set."""


class InputsMissing(VipsyncError, FileNotFoundError):
    """Files that a script's session names are not there, here or on VIP."""

    exit_code = 3


class InputsUnreadable(VipsyncError, OSError):
    """Something in the data set of a script cannot be read."""

    exit_code = 3


class InputsRefused(VipsyncError, ValueError):
    """Inputs name somebody, and a script asked that such inputs are not sent."""

    exit_code = 3


class InputsThere(VipsyncError, FileExistsError):
    """A script's session has inputs of its own on VIP."""

    exit_code = 3


class ResultsMissing(VipsyncError):
    """Results that a script asked for are not on this machine."""

    exit_code = 3


class FolderError(VipsyncError):
    """The session folder is not as it must be."""


class NotASession(FolderError):
    """There is no settings.toml there."""


class FolderHeld(FolderError):
    """Another process works in this folder."""


class HeldElsewhere(FolderHeld):
    """A process on another machine works in this folder, or did a moment ago."""


class FolderAbsent(FolderError):
    """The folder is unmounted, emptied, unreadable or replaced: halt, nothing was deleted."""

    exit_code = 3
    transient = True


class FolderCopied(FolderError):
    """The id of this folder also lies in the folder it was copied from."""

    exit_code = 3


class StillOnVip(FolderError):
    """The session has data on VIP that no other folder knows of: they would be left there for good."""

    exit_code = 3


class NameTaken(VipsyncError):
    """The session's folder on VIP belongs to somebody else."""

    exit_code = 3


class ItemError(VipsyncError):
    """Concern one file, case or result; the others go on."""

    scope = Scope.ITEM
    exit_code = 3


class LocalFileError(ItemError):
    """A local file changed, vanished or cannot be read."""

    transient = True


class NameRefused(ItemError):
    """VIP cannot hold this name, or two files would share it."""


class TransferMismatch(ItemError):
    """Another number of bytes arrived than was sent."""

    transient = True


class TooLarge(ItemError):
    """Above what the server lets through."""


class ArchiveRefused(ItemError):
    """An archive that is not unpacked, and why."""


class ForeignPath(ItemError):
    """A path from VIP that has no place in the folder."""


class MachineTooSmall(VipsyncError):
    """A limit of this machine is below what is needed to work at all."""


class DiskError(VipsyncError, OSError):
    """No space, read-only or permission lost on this machine: work goes on when that is mended."""

    transient = True
    exit_code = 3


class InTheWay(DiskError):
    """A link or a file lies where a folder of ours belongs: only a person takes it away."""

    transient = False


class Unreachable(VipsyncError, ConnectionError):
    """No answer from VIP: wrong address, no network, or the server is down."""

    scope = Scope.ACCOUNT
    transient = True
    exit_code = 5


class NeverSent(Unreachable):
    """There was no connection: VIP has not seen the request, and nothing of it can happen later."""


class VipError(VipsyncError, RuntimeError):
    """VIP answered, but not with what was asked. `code` is VIP's own (facts 2.2), 0 where none."""

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        code: int = 0,
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, remedy, retry_after=retry_after)
        self.code = code
        self.status = status


class KeyMissing(VipError):
    """No API key was found."""

    scope = Scope.ACCOUNT
    exit_code = 4


class KeyRefused(VipError):
    """VIP does not know this API key, or the account is locked."""

    scope = Scope.ACCOUNT
    exit_code = 4


class PipelineUnavailable(VipError):
    """The pipeline is unknown, or this account is not in its group."""

    scope = Scope.ITEM


class SlotsFull(VipError):
    """The limit of running executions is reached: a queue, not a failure."""

    transient = True


class InvalidInput(VipError):
    """VIP refuses a value or a name."""

    scope = Scope.ITEM
    exit_code = 3


class PathForbidden(VipError):
    """The path lies outside what this account may touch."""

    scope = Scope.ITEM


class ExecutionGone(VipError):
    """The execution was deleted on VIP."""

    scope = Scope.ITEM


class GenericVipError(VipError):
    """VIP failed without a reason it would tell (8000): transient or final, nobody can see which."""

    transient = True
    scope = Scope.ITEM


class BadAnswer(VipError):
    """The answer is not JSON, or JSON of another shape: another kind of server, or a proxy's page."""

    scope = Scope.ITEM
    transient = True
    exit_code = 5
