"""The text of a TOML file: decoded, parsed, and its mistakes explained to people who never saw TOML."""

from __future__ import annotations

import codecs
import re
import tomllib
from itertools import accumulate

from vipsync.errors import SettingsError

_CURLY = "“”„‟‘’‚«»"

# What the line shows comes before what the parser says: it looks at one letter, a person at the line.
_LINE_HINTS = (
    (  # outside of finished strings and comments, where they are allowed
        rf"""^(?:[^"'#]|"[^"]*"|'[^']*')*?(?:["'](?=[^"']*$)[^"']*)?[{_CURLY}]""",
        'Curly quotes are only letters here: write straight ones, as "…".',
    ),
    (
        "[\u00a0\u200b\u2028\ufeff]",
        "The line holds an invisible character, as word processors leave: type its spaces again.",
    ),
    (
        r"\\",
        'Between "…" a backslash means something else: write / instead, or use single quotes.',
    ),
)
_REASON_HINTS = (
    (
        r"""Unterminated|character '\\n'|Expected ["']['"]""",
        "A quote is opened and not closed, or the file is only half saved.",
    ),
    (r"overwrite|declare|mutate|namespace", "This name is already used above: keep one of them."),
    (
        "after a statement",
        'Something stands behind the value: text stands in straight quotes, a time too, as "5 s".',
    ),
    ("end of document", "The file ends too early: half saved, or a bracket is not closed."),
    ("Invalid value", 'Text stands in straight quotes, as "…"; a switch is true or false.'),
    (
        "Expected '='|initial character|Invalid statement",
        "A line is: name = value. Comments begin with #.",
    ),
)


_NO_TEXT = {
    rb"{\\rtf": "rich text (RTF)",
    rb"PK\x03\x04|\xd0\xcf\x11\xe0": "a document of a word processor",
    rb"%PDF-": "a PDF",
    rb"(\xef\xbb\xbf)?\s*<": "a web page, or XML",
}
"""How files begin that a person took for text, and what they are."""


def decoded(data: bytes, source: str) -> str:
    """Decode UTF-8, or UTF-16 with its mark, as editors on Windows save it."""
    for start, kind in _NO_TEXT.items():
        if re.match(start, data):
            raise SettingsError(
                f"{source}: this is not plain text, but {kind}.",
                "Save it as plain text (in TextEdit: Format, Make Plain Text).",
            )
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        return data.decode("utf-16" if data.startswith(marks) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{source}, line {line}: a letter that is not UTF-8."
        raise SettingsError(message, "Save the file with the encoding UTF-8.") from None


def table(text: str, source: str) -> dict[str, object]:
    """Parse TOML; SettingsError names the line, the column and what is likely wrong there."""
    _refuse_excess(text, source)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingsError(f"{source}: brackets lie too deep in one another.") from None
    except ValueError as error:
        raise SettingsError(*_syntax_error(str(error), text, source)) from None


_LONGEST = 2 * 2**20
"""Characters of a file that names 20,000 inputs one by one."""

_MOST_LINES, _MOST_DOTS, _DEEPEST = 50_000, 10, 10

_TEXTS = re.compile(
    r""""{3}(?:\\.|[^\\])*?"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*""", re.DOTALL
)
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{_MOST_DOTS}}}")


def _refuse_excess(text: str, source: str) -> None:
    """Raise SettingsError for what no person writes, before the time that it takes is spent."""
    if len(text) > _LONGEST or text.count("\n") > _MOST_LINES:
        raise SettingsError(
            f"{source} is far longer than settings are.",
            "Is it another file? Settings have one line for each setting.",
        )
    bare = _TEXTS.sub("x", text)
    if dotted := _DOTTED.search(bare):
        line = bare.count("\n", 0, dotted.start()) + 1
        raise SettingsError(
            f"{source}, about line {line}: a name of more than {_MOST_DOTS} parts.",
            "The names of settings have one dot at most.",
        )
    if _depth(bare) > _DEEPEST:
        raise SettingsError(f"{source}: brackets lie too deep in one another.")


def _depth(bare: str) -> int:
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", bare))
    return max(accumulate(steps), default=0)


def line_numbers(text: str) -> dict[str, int]:
    """Map dotted keys and sections to the lines on which they stand, where that is plain to see."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line):
            section = f"{header[1]}."
            found.setdefault(header[1], number)
        elif key := re.match(r"""\s*["']?([^"'=#]+?)["']?\s*=""", line):
            found.setdefault(section + key[1], number)
    return found


def _syntax_error(reason: str, text: str, source: str) -> tuple[str, str]:
    lines = text.rstrip().split("\n")
    at = re.search(r"\(at line (\d+), column (\d+)\)", reason)
    number = min(int(at[1]), len(lines)) if at else len(lines)
    column = f", column {at[2]}" if at else ""
    said = reason.partition(" (at ")[0]
    message = f"{source}, line {number}{column}: this is not TOML: {said}."
    return message, _hint(lines[number - 1], reason)


def _hint(line: str, reason: str) -> str:
    by_line = (hint for pattern, hint in _LINE_HINTS if re.search(pattern, line))
    by_reason = (hint for pattern, hint in _REASON_HINTS if re.search(pattern, reason))
    return next(by_line, None) or next(by_reason, "")
