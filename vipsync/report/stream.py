"""One of stdout and stderr: a line is written as it is; rich is loaded for what must be drawn.

Work goes on where nobody can be told: what a full disk, a reader that went or a terminal that was
closed does not take goes to the log.
"""

from __future__ import annotations

import io
import os
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_PIPE_WIDTH = 160
"""Columns of a table where there is no terminal that has a width."""

_COLOURS = {"red": "31", "green": "32", "yellow": "33"}
_CODES = {"bold": "1", "dim": "2", **_COLOURS}

_COMMAND = re.compile(r"`[^`\n]+`")
_JOINED = "\0"
"""Stands for a space at which no line is broken."""

_CLOSED = io.StringIO()
_CLOSED.close()


class Lasting:
    """A file that refuses nothing: `error` says why it did not take what was written."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.error: Exception | None = None

    def write(self, text: object) -> int:
        """Write a text; letters that the file has no bytes for become question marks."""
        if not isinstance(text, str):
            raise TypeError("takes text only")  # click asks so what it may write
        try:
            return self.file.write(text)
        except UnicodeEncodeError:
            known = self.file.encoding
            return self.write(text.encode(known, "replace").decode(known))
        except (OSError, ValueError) as error:
            self.error = error
            return len(text)

    def flush(self) -> None:
        """Write out what is held back."""
        try:
            self.file.flush()
        except (OSError, ValueError) as error:
            self.error = error

    def isatty(self) -> bool:
        """Tell whether it is a terminal; what is closed is none."""
        try:
            return self.file.isatty()
        except ValueError:
            return False

    def __getattr__(self, name: str) -> Any:
        """Let the file answer everything else."""
        return getattr(self.file, name)


def lasting(file: TextIO | Lasting | None) -> Lasting:
    """Return a file that refuses nothing; None is one that was closed before the start."""
    return file if isinstance(file, Lasting) else Lasting(file or _CLOSED)


class Stream:
    """Where lines and pictures go: stdout, or stderr, or a console that is handed in."""

    def __init__(self, console: Console | None = None, *, stderr: bool = False) -> None:
        self._stderr = stderr
        self._kept = Lasting(_CLOSED)
        self._told = False
        if console:
            self.console = console

    @cached_property
    def console(self) -> Console:
        """What draws."""
        from rich.console import Console

        file = cast("TextIO", self._file)
        console = Console(
            stderr=self._stderr, file=file, highlight=False, emoji=False, markup=False
        )
        if not console.is_terminal:
            console.width = _PIPE_WIDTH
        return console

    @property
    def is_interactive(self) -> bool:
        """Tell whether a picture can stay in its place."""
        return (self._draws or _takes_style(self._file)) and self.console.is_interactive

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person may be looking."""
        return self._file.isatty()

    @property
    def lost(self) -> str:
        """Say why what was last written did not arrive; empty where it did."""
        error = self._file.error
        return (getattr(error, "strerror", "") or "it is closed") if error else ""

    @property
    def left(self) -> bool:
        """Tell whether the reader of a pipe has had enough."""
        return isinstance(self._file.error, BrokenPipeError)

    def words(self, text: str, style: str = "") -> None:
        """Write a line for people: a terminal that is too narrow for it gets it broken at words."""
        self.line(folded(text, self._width) if self.is_terminal else text, style)

    def line(self, text: str, style: str = "", *, logged: bool = False) -> None:
        """Write one line, never broken, above the picture while there is one; else log it.

        `logged`: it is in the log in any case.
        """
        if self.show(text, style):
            return
        import logging  # `--help` needs none

        logger = logging.getLogger(__name__)
        if not self._told and not self._stderr:
            self._told = True
            level = logging.INFO if self.left else logging.WARNING
            logger.log(level, "stdout cannot be written: %s; the work goes on", self.lost)
        if not logged:
            logger.info("%s", text)

    @property
    def is_journal(self) -> bool:
        """Tell whether the journal of systemd takes each line, with its time."""
        try:
            info = os.fstat(self._file.fileno())
        except (OSError, ValueError):
            return False
        return os.environ.get("JOURNAL_STREAM") == f"{info.st_dev}:{info.st_ino}"

    def show(self, text: str, style: str = "") -> bool:
        """Write one line if that can be; tell whether it was."""
        self._file.error = None
        if self._draws:
            from rich.text import Text

            self.console.print(Text(text, style=style), soft_wrap=True)
        else:
            file = cast("TextIO", self._file)
            click.echo(_styled(text, style) if _takes_style(self._file) else text, file)
        return not self.lost

    def text(self, text: Text) -> None:
        """Show a text in several styles, broken as words are."""
        shown = folded_text(text, self.console.width) if self.console.is_terminal else text
        self.console.print(shown, soft_wrap=True)

    def draw(self, picture: RenderableType) -> None:
        """Show a picture; in a pipe its lines are not broken."""
        self.console.print(picture, soft_wrap=not self.console.is_terminal)

    @property
    def _width(self) -> int:
        if self._draws:
            return self.console.width
        import shutil

        return shutil.get_terminal_size().columns

    @property
    def _draws(self) -> bool:
        return "console" in vars(self)

    @property
    def _file(self) -> Lasting:
        """Return what stdout, or stderr, is now."""
        file = (sys.stderr if self._stderr else sys.stdout) or _CLOSED
        file = getattr(file, "rich_proxied_file", file)  # a picture puts something before it
        if file is not self._kept.file:
            self._kept = lasting(file)
        return self._kept


def folded(text: str, width: int) -> str:
    """Return a text whose lines are broken at words, and go on below the first with an indent.

    A `command` is to be copied, and never broken.
    """
    return "\n".join(part for line in text.split("\n") for part in _folded_line(line, width))


def folded_text(text: Text, width: int) -> Text:
    """Return the same of a text in several styles."""
    from rich.text import Text

    parts: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        at = 0
        for part in _folded_line(line.plain, width):
            words = part.strip() if parts and at else part
            at = line.plain.index(words, at)
            indent = part[: len(part) - len(words)]
            parts.append(Text(indent) + line[at : at + len(words)])
            at += len(words)
    return Text("\n").join(parts)


def _folded_line(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    import textwrap  # most lines are short enough

    indent = " " * (len(line) - len(line.lstrip()) + 2)
    broken = textwrap.wrap(
        _COMMAND.sub(lambda found: found[0].replace(" ", _JOINED), line),
        max(width, 20),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace(_JOINED, " ") for part in broken]


def _takes_style(file: Lasting) -> bool:
    """Tell whether a file is a terminal that knows bold letters and colours."""
    wanted = file.isatty() or bool(os.environ.get("FORCE_COLOR"))
    return wanted and os.environ.get("TERM") not in ("dumb", "unknown")


def _styled(text: str, style: str) -> str:
    """Return a text with the codes of its style, as rich writes them (no-color.org)."""
    plain = _COLOURS if os.environ.get("NO_COLOR") else {}
    codes = ";".join(_CODES[word] for word in style.split() if word not in plain)
    return f"\x1b[{codes}m{text}\x1b[0m" if codes else text
