"""One of stdout and stderr: a line is written as it is; rich is loaded for what must be drawn."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PIPE_WIDTH = 160
"""Columns of a table where there is no terminal that has a width."""

_COLOURS = {"red": "31", "green": "32", "yellow": "33"}
_CODES = {"bold": "1", "dim": "2", **_COLOURS}


class Stream:
    """Where lines and pictures go: stdout, or stderr, or a console that is handed in."""

    def __init__(self, console: Console | None = None, *, stderr: bool = False) -> None:
        self._stderr = stderr
        if console:
            self.console = console

    @cached_property
    def console(self) -> Console:
        """What draws."""
        from rich.console import Console

        console = Console(stderr=self._stderr, highlight=False, emoji=False, markup=False)
        if not console.is_terminal:
            console.width = _PIPE_WIDTH
        return console

    @property
    def is_interactive(self) -> bool:
        """Tell whether a picture can stay in its place."""
        return (self._draws or _takes_style(self._file)) and self.console.is_interactive

    def line(self, text: str, style: str = "") -> None:
        """Write one line, never broken; above the picture while there is one."""
        if self._draws:
            from rich.text import Text

            self.console.print(Text(text, style=style), soft_wrap=True)
        else:
            click.echo(_styled(text, style) if _takes_style(self._file) else text, self._file)

    def draw(self, picture: RenderableType) -> None:
        """Show a picture; in a pipe its lines are not broken."""
        self.console.print(picture, soft_wrap=not self.console.is_terminal)

    @property
    def _draws(self) -> bool:
        return "console" in vars(self)

    @property
    def _file(self) -> TextIO:
        file = sys.stderr if self._stderr else sys.stdout
        return getattr(file, "rich_proxied_file", file)  # a picture puts something before it


def _takes_style(file: TextIO) -> bool:
    """Tell whether a file is a terminal that knows bold letters and colours."""
    wanted = file.isatty() or bool(os.environ.get("FORCE_COLOR"))
    return wanted and os.environ.get("TERM") not in ("dumb", "unknown")


def _styled(text: str, style: str) -> str:
    """Return a text with the codes of its style, as rich writes them (no-color.org)."""
    plain = _COLOURS if os.environ.get("NO_COLOR") else {}
    codes = ";".join(_CODES[word] for word in style.split() if word not in plain)
    return f"\x1b[{codes}m{text}\x1b[0m" if codes else text
