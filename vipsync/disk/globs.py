"""Patterns with wildcards as regular expressions that never try a name in ever more ways.

What lies between two wildcards has one length, so that the first place where it fits is as good as any
other: no way back (`(?>…)`) is needed, and the time grows with the name alone. PURE: no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern


def part(first: str, rest: Sequence[tuple[int, str]]) -> str:
    """Return the regular expression of one part of a path, for what ends with it or goes on with `/`.

    `rest`: for each wildcard how many characters it has at least, and the expression behind it, which
    has one length.
    """
    wild: list[tuple[int, str]] = []
    for least, behind in rest:
        if wild and not wild[-1][1]:  # two wildcards side by side are one
            least += wild.pop()[0]
        wild.append((least, behind))
    if not wild:
        return first
    middle = "".join(f"(?>[^/]{{{least},}}?{behind})" for least, behind in wild[:-1])
    least, behind = wild[-1]
    return f"{first}{middle}[^/]{{{least},}}{behind}(?![^/])"


def ignore_spec(lines: Iterable[str]) -> GitIgnoreSpec:
    """Return gitignore rules; raise ValueError for one that cannot be read."""
    return GitIgnoreSpec.from_lines(lines, _Linear, backend="simple")


class _Linear(GitIgnoreSpecPattern):
    """A gitignore rule that matches what git's does, and takes no more time than the path is long."""

    @classmethod
    def pattern_to_regex(cls, pattern: str) -> tuple[str | None, bool | None]:  # type: ignore[override]
        """Return the regular expression, and whether it leaves out or takes back in."""
        regex, include = super().pattern_to_regex(pattern)
        return (linear(regex) if regex else regex), include


# pathspec makes its regular expressions of these, and of single characters
_ANY_ABOVE, _ANY_BETWEEN = "^(?:.+/)?", "(?:/.+)?"
_STARS = {"[^/]*": 0, "[^/]+": 1}
_TOKEN = re.compile(
    r"\^\(\?:\.\+/\)\?|\(\?:/\.\+\)\?|\(\?:\(\?P<ps_d>/\)\|\$\)|\(\?P<ps_d>/\)"
    r"|\[\^?\]?(?:\\.|[^\]\\])*\][*+]?|\\.|.",
    re.DOTALL,
)
_ENDS = frozenset({"/", "^", "(?:(?P<ps_d>/)|$)", "(?P<ps_d>/)"})


def linear(regex: str) -> str:
    """Return a regular expression of pathspec's that matches the same, without ways back.

    Of folders that may lie anywhere (`**`), the first place is as good as any; the last one of them
    stays as it is, since git tells a folder that is matched from a file in it.
    """
    blocks: list[list[str]] = [[]]
    wild = [""]
    for token in _TOKEN.findall(regex):
        if token in (_ANY_ABOVE, _ANY_BETWEEN):
            blocks.append([])
            wild.append(token)
        else:
            blocks[-1].append(token)
    made = ["".join(chain.from_iterable(map(_parts, _split(block)))) for block in blocks]
    inner = [
        f"{_first_place(before)}{block}(?![^/]))" if before else block
        for before, block in zip(wild[:-1], made[:-1], strict=True)
    ]
    return "".join([*inner, wild[-1], made[-1]])


def _first_place(wild: str) -> str:
    return "^(?>(?:[^/]+/)*?" if wild == _ANY_ABOVE else "(?>(?:/[^/]+)*?"


def _split(tokens: Iterable[str]) -> Iterator[list[str]]:
    """Yield the tokens of each part of a path, and by themselves those between."""
    here: list[str] = []
    for token in tokens:
        if token in _ENDS:
            yield from (here, [token])
            here = []
        else:
            here.append(token)
    yield here


def _parts(tokens: list[str]) -> Iterator[str]:
    first, rest = "", list[tuple[int, str]]()
    for token in tokens:
        one = f"(?!/){token}" if token.startswith("[^") else token  # pathspec forgets the slash
        if token in _STARS:
            rest.append((_STARS[token], ""))
        elif rest:
            rest[-1] = (rest[-1][0], rest[-1][1] + one)
        else:
            first += one
    yield part(first, rest)
