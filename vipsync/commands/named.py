"""Which session folders a command that changes something is about, and whether a person means all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from vipsync.commands.context import Context, folder_around, meant, sessions_of
from vipsync.errors import NotASession, Unclear
from vipsync.folder.folder import SessionFolder
from vipsync.folder.search import find_sessions
from vipsync.names import few
from vipsync.report.text import printable
from vipsync.status.status import count

_SHOWN = 5


class Named(Struct, frozen=True):
    """Session folders, and cases of the only one. `outright`: each folder was named as itself."""

    folders: tuple[SessionFolder, ...]
    cases: tuple[str, ...] = ()
    outright: bool = True

    @property
    def several(self) -> bool:
        """Tell whether there is more than one folder."""
        return len(self.folders) > 1


def named_folders(context: Context, directories: Sequence[Path]) -> Named:
    """Return the sessions that directories are or hold, without any those that are meant then."""
    found = sessions_of(meant(context, directories))
    roots = {SessionFolder(directory).root for directory in directories}
    outright = len(found) == 1 or all(folder.root in roots for folder in found)
    return Named(tuple(found), (), outright)


def folders_and_cases(context: Context, words: Sequence[str]) -> Named:
    """Take words apart: folders with sessions come first, cases of one folder follow.

    Inside a session folder the first word may be a case already.
    """
    number = next((n for n, word in enumerate(words) if not _holds_sessions(word)), len(words))
    if not number and words and (context.config or not folder_around(Path.cwd())):
        number = 1  # a name that is wrong: what it lacks is said
    found = named_folders(context, [Path(word) for word in words[:number]])
    cases = tuple(words[number:])
    if cases and found.several:
        raise Unclear(
            f"Cases can be named in one folder only, and these are {len(found.folders)}.",
            "Name one folder, or no case.",
        )
    return Named(found.folders, cases, found.outright)


def _holds_sessions(word: str) -> bool:
    try:
        return bool(find_sessions(Path(word)))
    except NotASession:
        return False


def refuse_many(
    context: Context, named: Named, *, sure: bool, stake: Callable[[], str] = lambda: ""
) -> None:
    """Say which folders are meant where they were not named as themselves; raise Unclear without --yes.

    Where nobody can be asked, many folders are never meant by mistake. `stake` says what it is about in sums.
    """
    if named.outright or sure:
        return
    names = few([printable(str(folder.root)) for folder in named.folders], _SHOWN)
    words = (
        f"This is about {count(len(named.folders), 'session folder')}: {names}. {stake()}".rstrip()
    )
    if not context.asks:
        raise Unclear(words, "Add --yes if you mean all of them.")
    context.reporter.say(words)


def agreed(
    context: Context, named: Named, *, sure: bool, stake: Callable[[], str] = lambda: ""
) -> bool:
    """Ask whether all of these folders are meant, where they were not named as themselves."""
    refuse_many(context, named, sure=sure, stake=stake)
    if named.outright or sure or context.agree():
        return True
    context.reporter.say("Nothing was changed.")
    return False
