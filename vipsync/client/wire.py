"""What goes over the wire: addresses of VIP's REST API, and its JSON → values of `model`.

Pure. Tolerant to fields it does not know and to VIP's oddities (nulls, milliseconds, old words);
an answer of another shape is a BadAnswer that names what was asked and never shows the body.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, TypeVar, cast
from urllib.parse import quote

from msgspec import Meta, Raw, Struct, ValidationError, structs
from msgspec.json import Decoder
from msgspec.json import decode as json_decode

from vipsync.errors import (
    BadAnswer,
    ExecutionGone,
    ForeignPath,
    PipelineUnavailable,
    TransferMismatch,
)
from vipsync.model import (
    Descriptor,
    Execution,
    ExecutionStatus,
    Job,
    Odd,
    Parameter,
    ParameterType,
    Platform,
    RemoteEntry,
    Scalar,
    VipPath,
)

NETWORK = (
    "Where this network wants a login first, as in a hotel, do that in a browser. "
    "Otherwise check the portal's address."
)
"""What to do about an answer that is not VIP's. A foreign page's own advice is never handed on."""

T = TypeVar("T")

EXCERPT = 200
"""Characters of a foreign text that an error may show."""

_DEEPEST = 100
"""Levels of a foreign value that are walked through: each takes a place on the stack."""

_LARGEST = 2**63 - 1
"""Bytes of the largest file that any disk, and the ledger, can hold."""

_LONGEST_NAME, _LONGEST_PATH = 1000, 4000
"""Characters of a name, and of a path, above which no disk holds it."""

_LATEST = 4_102_444_800
"""Seconds until 2100: no execution starts later."""

_MOST_VALUES = 5_000_000
"""Values in an answer: a list of 400,000 results has 2.8 million."""

_MOST_WORDS = 4000
"""Characters of a text for people that are kept."""

_MOST = 2**31
"""Above this no job is numbered, and no code."""

_TYPES = {word.value: word for word in ParameterType}
_STATUSES = {word.value: word for word in ExecutionStatus}
_ABSENT_DEFAULTS = frozenset({"$input.getDefaultValue()", "No_value_provided"})
_NO_LOG = re.compile(
    r"no log found( for job \d+)?|jobId is required when multiple tasks exist", re.ASCII
)


# addresses


def path_route(path: str) -> str:
    """Return the route of a path on VIP, percent-encoded once (facts 3.3).

    Raise ForeignPath for one with dots alone, empty parts or control characters: httpx would
    resolve `x/..`, and a removal would strike the folder above.
    """
    root, *parts = path.rstrip("/").split("/")[1:] or [""]
    if not path.startswith("/") or root != "vip" or not all(map(is_plain_name, parts)):
        raise ForeignPath(
            f"'{excerpt(path)}' is not a path that can be asked for on VIP.",
            "Such a path begins with /vip and has neither '..' nor control characters.",
        )
    return "path" + quote("/".join(["", root, *parts]), safe="/")


def pipeline_route(pipeline_id: str) -> str:
    """Return the route of a pipeline; VIP decodes its id twice, so `+` is `%252B` (facts 4)."""
    parts = pipeline_id.split("/")
    if len(parts) != 2 or not all(map(is_plain_name, parts)):
        raise PipelineUnavailable(
            f"'{excerpt(pipeline_id)}' is not the identifier of a pipeline.",
            "It reads application/version, as in CQUEST/0.6; `vipsync pipelines` lists them.",
            code=8005,
        )
    return "pipelines/" + quote(quote(pipeline_id, safe="/"), safe="/")


def execution_route(execution_id: str) -> str:
    """Return the route of an execution; raise ExecutionGone for an id that VIP cannot have given."""
    if re.fullmatch(r"[0-9A-Za-z_-]{1,100}", execution_id, re.ASCII) is None:
        raise ExecutionGone(
            f"'{excerpt(execution_id)}' is not the identifier of an execution.",
            "VIP names them like workflow-a1b2c3.",
        )
    return f"executions/{execution_id}"


# answers


class Answer(Struct, frozen=True, rename="camel"):
    """What every answer shares: camelCase names, unknown fields ignored."""


Name = Annotated[str, Meta(min_length=1, max_length=255)]


class PresenceAnswer(Answer, frozen=True):
    """Answer of `action=exists`."""

    exists: bool


class EntryAnswer(Answer, frozen=True):
    """Properties of a path (facts 3.1)."""

    path: str | None = None
    exists: bool = True
    is_directory: bool | None = None
    size: int | None = None

    def entry(self, path: str) -> RemoteEntry | None:
        """Return the entry at this path; None for a file without a size."""
        if self.is_directory:
            return RemoteEntry(VipPath(path), is_folder=True)
        if self.size is None or not 0 <= self.size <= _LARGEST:
            return None
        return RemoteEntry(VipPath(path), is_folder=False, size=self.size)

    def child_of(self, folder: str) -> RemoteEntry:
        """Return the entry directly inside folder; an odd one where it cannot be asked for."""
        path = self.path or ""
        inside, _, name = path.rpartition("/")
        if inside.rstrip("/") != folder:
            return odd_entry(path or f"{folder}/", Odd.ELSEWHERE)
        if not is_plain_name(name) or len(name) > _LONGEST_NAME:
            return odd_entry(path, Odd.NAME)
        return self.entry(f"{folder}/{name}") or odd_entry(f"{folder}/{name}", Odd.SIZE)


def odd_entry(path: str, why: Odd) -> RemoteEntry:
    """Return what VIP lists and nobody can ask for; of a path without end, its beginning."""
    return RemoteEntry(VipPath(path[:_LONGEST_PATH]), is_folder=False, odd=why)


class PlatformAnswer(Answer, frozen=True):
    """What the server says of itself (facts 1.5)."""

    platform_name: str | None = None
    email: str | None = None
    max_size_direct_transfer: int | None = None

    def platform(self) -> Platform:
        """Return it as a value of the model."""
        limit = self.max_size_direct_transfer
        most = limit if limit and 0 < limit <= _LARGEST else None
        return Platform(self.platform_name or "VIP", most, self.email or "")


class ParameterAnswer(Answer, frozen=True):
    """One parameter of a pipeline (facts 4.1)."""

    name: str
    type: str | None = None
    default_value: object = None
    description: str | None = None
    is_optional: bool | None = None

    def parameter(self) -> Parameter:
        """Return it as a value of the model; a type that is not known counts as a string."""
        return Parameter(
            name=self.name,
            type=_TYPES.get(self.type or "", ParameterType.STRING),
            optional=bool(self.is_optional),
            default=_default(self.default_value),
            description=self.description or "",
        )


class PipelineAnswer(Answer, frozen=True):
    """A pipeline, as the list and the single form give it (facts 4.1)."""

    identifier: Name
    name: str | None = None
    description: str | None = None
    version: str | None = None
    parameters: list[ParameterAnswer] | None = None

    def descriptor(self) -> Descriptor:
        """Return it as a value of the model: without outputs and pairs, which VIP does not list."""
        return Descriptor(
            pipeline_id=self.identifier,
            name=self.name or "",
            version=self.version or "",
            description=self.description or "",
            parameters=tuple(p.parameter() for p in self.parameters or ()),
        )


class JobAnswer(Answer, frozen=True):
    """One job of an execution (facts 5.7)."""

    status: str | None = None
    exit_code: int | None = None
    exit_message: str | None = None

    def job(self, number: int) -> Job:
        """Return it as a value of the model."""
        code = -1 if self.exit_code is None else self.exit_code
        words = (self.exit_message or "")[:_MOST_WORDS]
        status = (self.status or "")[:_MOST_WORDS]
        return Job(number, status, code if abs(code) < _MOST else -1, words)


class ExecutionAnswer(Answer, frozen=True):
    """An execution, in the full and in the summary form (facts 5.7)."""

    identifier: Name
    name: str | None = None
    pipeline_identifier: str | None = None
    status: str | None = None
    start_date: float | None = None
    input_values: dict[str, object] | None = None
    returned_files: dict[str, list[str | None] | None] | None = None
    jobs: dict[int, JobAnswer] | None = None

    def execution(self) -> Execution:
        """Return it as a value of the model, with its jobs by number."""
        return Execution(
            id=self.identifier,
            name=self.name or self.identifier,
            pipeline_id=self.pipeline_identifier or "",
            status=_STATUSES.get(self.status or "", ExecutionStatus.UNKNOWN),
            started=_seconds(self.start_date),
            input_values=_texts(self.input_values or {}),
            returned_files={
                output: tuple(VipPath(path) for path in paths or () if path)
                for output, paths in (self.returned_files or {}).items()
            },
            jobs=tuple(
                job.job(number)
                for number, job in sorted((self.jobs or {}).items())
                if abs(number) < _MOST
            ),
        )


def _seconds(milliseconds: float | None) -> float | None:
    """Return a moment, None for one that no calendar has."""
    seconds = (milliseconds or 0.0) / 1000
    return seconds if 0 < seconds <= _LATEST else None


NAMELESS = Execution("", "", "", ExecutionStatus.UNKNOWN)
"""An execution in a list of which VIP does not even say which one it is."""


PRESENCE = Decoder(PresenceAnswer, strict=False)
ENTRY = Decoder(EntryAnswer, strict=False)
ITEMS = Decoder(list[Raw])
PLATFORM = Decoder(PlatformAnswer, strict=False)
PIPELINE = Decoder(PipelineAnswer, strict=False)
PIPELINES = Decoder(list[PipelineAnswer], strict=False)
EXECUTION = Decoder(ExecutionAnswer, strict=False)
PARTS = Decoder(dict[str, Raw])
BOUTIQUES = Decoder(dict[str, object])


def parsed(shape: Decoder[T], body: bytes | bytearray, asked: str) -> T:
    """Read JSON of this shape, or raise a BadAnswer that names what was asked."""
    if sum(map(body.count, (b",", b"{", b"["))) > _MOST_VALUES:
        raise BadAnswer(f"The answer to '{asked}' has more values than vipsync can hold.", NETWORK)
    try:
        return shape.decode(body)
    except (ValueError, RecursionError) as error:
        if found := _in_part(shape, body):
            return found
        reason = excerpt(str(error)) if isinstance(error, ValidationError) else "no JSON"
        raise BadAnswer(
            f"The answer to '{asked}' has not the shape that VIP gives it ({reason}).",
            NETWORK,
        ) from None


def entries(body: bytes | bytearray, folder: str, asked: str) -> list[RemoteEntry]:
    """Read the list of a folder; what is wrong with one entry is said of that one."""
    unread = EntryAnswer()
    answers = (_item(ENTRY, raw) for raw in parsed(ITEMS, body, asked))
    return [
        odd_entry(f"{folder}/", Odd.SHAPE) if answer is unread else answer.child_of(folder)
        for answer in (answer or unread for answer in answers)
    ]


def executions(body: bytes | bytearray, asked: str) -> list[Execution]:
    """Read a list of executions; of one with values that cannot be, its name is kept."""
    return [_execution(raw) for raw in parsed(ITEMS, body, asked)]


def _execution(raw: Raw) -> Execution:
    answer = _item(EXECUTION, raw)
    return answer.execution() if answer else NAMELESS


def _item(shape: Decoder[T], raw: Raw) -> T | None:
    try:
        return shape.decode(raw)
    except (ValueError, RecursionError):
        return _in_part(shape, raw)


def _in_part(shape: Decoder[T], body: bytes | bytearray | Raw) -> T | None:
    """Return an answer without the fields that make no sense; None where one says what it is about."""
    kind: object = shape.type
    if not (isinstance(kind, type) and issubclass(kind, Answer)):
        return None
    with suppress(ValueError, RecursionError, TypeError):
        parts = PARTS.decode(body)
        known = {
            field.name: json_decode(part, type=field.type, strict=False)
            for field in structs.fields(kind)
            if (part := parts.get(field.encode_name)) is not None
            and (field.name in _TELLING or _is_readable(part, field.type))
        }
        return cast("T", kind(**known))
    return None


_TELLING = frozenset({"identifier", "name", "exists", "error_code"})


def _is_readable(part: Raw, kind: object) -> bool:
    with suppress(ValueError, RecursionError):
        json_decode(part, type=kind, strict=False)
        return True
    return False


def is_plain_name(name: str) -> bool:
    """Say whether name can be one part of a path: no slash, no dots alone, no control character."""
    if name in {"", ".", ".."} or "/" in name:
        return False
    if name.isascii():
        return name.isprintable()
    return all(unicodedata.category(char) not in {"Cc", "Cs"} for char in name)


def excerpt(text: str) -> str:
    """Return the beginning of a foreign text, on one line, without control characters."""
    start = " ".join(text[: 4 * EXCERPT].split())
    return "".join(char for char in start if char.isprintable())[:EXCERPT]


def is_log(text: str) -> bool:
    """Say whether this is a log, not one of the sentences that VIP answers in its place."""
    return _NO_LOG.fullmatch(text.strip()) is None


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _default(value: object) -> Scalar | None:
    if value is None or (isinstance(value, str) and value in _ABSENT_DEFAULTS):
        return None
    return value if isinstance(value, Scalar) else _json(value)


def _json(value: object) -> str:
    return "…" if is_deep(value) else json.dumps(value)


def is_deep(value: object) -> bool:
    """Tell whether lists and tables lie in one another so often that no walk down is safe."""
    level = [value]
    for _ in range(_DEEPEST):
        tables = [v.values() for v in level if isinstance(v, dict)]
        level = [item for v in (*tables, *(v for v in level if isinstance(v, list))) for item in v]
    return bool(level)


# where the bytes of a download begin


_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", re.ASCII)


class Span(Struct, frozen=True):
    """The part of a file that an answer carries: `total` bytes in all, from `start` on."""

    start: int
    total: int


def span(
    status: int, headers: Mapping[str, str], offset: int, asked: str, size: int | None = None
) -> Span:
    """Tell what part of the file comes, asked for from offset on (facts 3.8).

    A server that knows no ranges sends all of it; 416 is right where nothing is left to send. A proxy
    may leave the length out: then `size` counts, which VIP's list says.
    """
    if status == 200:
        found = Span(0, _length(headers.get("content-length"), asked, size))
    else:
        found = _ranged(headers.get("content-range"), offset, asked, size)
    if found.start > offset or (status == 206 and found.start != offset):
        raise begin_anew(f"VIP sent another part of the file than was wanted to '{asked}'.")
    if offset > found.total or (status == 416 and offset != found.total):
        raise begin_anew(
            f"VIP has {found.total} bytes to '{asked}', but {offset} are here already."
        )
    return found


def begin_anew(what: str) -> TransferMismatch:
    """Return the error of a file that cannot be gone on with."""
    return TransferMismatch(what, "It must be fetched again from its beginning.")


def _length(text: str | None, asked: str, size: int | None) -> int:
    if text is None and size is not None:
        return size
    if text is None or re.fullmatch(r"\d{1,18}", text, re.ASCII) is None:
        raise BadAnswer(f"VIP did not say how many bytes there are to '{asked}'.")
    return int(text)


def _ranged(text: str | None, offset: int, asked: str, size: int | None) -> Span:
    match = _CONTENT_RANGE.fullmatch(text or "")
    total = size if match and match[2] == "*" else match and int(match[2])
    if match is None or total is None:
        raise begin_anew(f"VIP did not say which part of the file it sent to '{asked}'.")
    return Span(offset if match[1] is None else int(match[1]), total)
