"""VipClient: one method per endpoint of VIP's REST API, typed, and without any policy.

Each method sends one request, returns values of `model` and raises errors of `errors`. Nothing is
tried again, waited for or looked up beforehand here: that belongs to the caller, as data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO, Literal, Self, TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from vipsync.client import wire
from vipsync.client.connection import MAX_DONE, Ask, Connection, portal_address, usable_key
from vipsync.client.deadline import SLOWEST
from vipsync.client.decoding import coding, plain
from vipsync.client.http import httpx
from vipsync.client.refusals import remedy
from vipsync.errors import (
    BadAnswer,
    ForeignPath,
    LocalFileError,
    PipelineUnavailable,
    TransferMismatch,
)
from vipsync.model import (
    BLOCK,
    Descriptor,
    Execution,
    Odd,
    Platform,
    RemoteEntry,
    Scalar,
    Secret,
)

logger = logging.getLogger(__name__)

LaunchValue = Scalar | Sequence[Scalar]
LogStream = Literal["stdout", "stderr"]
OnBlock = Callable[[bytes], object]

T = TypeVar("T")


class Download(Struct, frozen=True):
    """A file on its way: `size` is that of the whole file, `blocks` begin at the offset wanted.

    With a `coding`, they begin at 0 and end anywhere, and a proxy says that it encoded them so. Some say it
    of a .tgz for its own compression: whether `decoded` gives the file, or they are it, its size tells.
    """

    size: int
    blocks: Iterator[bytes]
    coding: str = ""


LIST_LIMIT = 500
"""Executions that VIP lists at most (facts 5.1)."""


class VipClient:
    """Talk to one portal with one key; threads may share it. Close it, or use it in a `with`."""

    def __init__(
        self,
        portal: str,
        api_key: str | Secret,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        api_key = api_key if isinstance(api_key, Secret) else Secret(api_key)
        self.portal = portal_address(portal)
        self._connection = Connection(self.portal, usable_key(api_key, self.portal), transport)

    def __repr__(self) -> str:
        return f"VipClient({vars(self).get('portal')!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

    # the platform

    def check_key(self) -> None:
        """Raise KeyRefused or KeyMissing unless VIP knows the key (facts 1.4)."""
        self._read(wire.PRESENCE, _look("check the key", "/vip", "exists"))

    def platform(self) -> Platform:
        """Return what the server says of itself (facts 1.5)."""
        ask = Ask("describe the platform", "GET", "platform")
        return self._read(wire.PLATFORM, ask).platform()

    # paths

    def exists(self, path: str) -> bool:
        """Say whether there is a file or a folder at this path."""
        return self._read(wire.PRESENCE, _look(f"look for {path}", path, "exists")).exists

    def properties(self, path: str) -> RemoteEntry | None:
        """Return what is at this path, None where there is nothing."""
        entry = self.described(path)
        if entry and entry.odd:
            raise BadAnswer(f"VIP did not say the size of {path}.")
        return entry

    def described(self, path: str) -> RemoteEntry | None:
        """Return what is at this path, odd where it has no size; None where there is nothing."""
        ask = _look(f"describe {path}", path, "properties")
        found, place = self._read(wire.ENTRY, ask), path.rstrip("/")
        if not found.exists:
            return None
        return found.entry(place) or wire.odd_entry(place, Odd.SIZE)

    def list_folder(self, path: str, *, whole: bool = False) -> tuple[RemoteEntry, ...]:
        """Return what is directly inside a folder.

        Left out, with a warning, are entries that cannot be asked for: with control characters,
        `..`, no size, or a path that is not inside this folder. With `whole` they raise ForeignPath:
        for decisions that rest on nothing having been overlooked.
        """
        entries = self.everything_in(path)
        good = tuple(entry for entry in entries if entry.odd is None)
        if odd := len(entries) - len(good):
            logger.warning("left out %d malformed entries of a folder on VIP", odd)
            if whole:
                raise ForeignPath(
                    f"{odd} entries of {path} on VIP have names that vipsync cannot handle.",
                    "Look at this folder on the portal, and rename or remove them there.",
                )
        return good

    def everything_in(self, path: str) -> list[RemoteEntry]:
        """Return what is directly inside a folder, odd entries too."""
        ask = _look(f"list {path}", path, "list")
        return wire.entries(self._body(ask), path.rstrip("/"), ask.words)

    def make_folder(self, path: str) -> None:
        """Make a folder; fine if it is there already, refused if its parent is not (facts 3.5)."""
        self._done(_put(f"make the folder {path}", path, b""), 201)

    def upload(
        self,
        path: str,
        source: BinaryIO,
        size: int,
        on_block: OnBlock | None = None,
        block: int = BLOCK,
    ) -> None:
        """Send `size` bytes of source to a path that does not exist yet, `block` bytes at a time.

        `on_block` sees each block before it leaves. Raise LocalFileError if source holds another
        number of bytes: then the last of them were not sent, and VIP keeps nothing.
        """
        if size <= 0:
            raise ValueError("an empty PUT makes a folder: use upload_empty")
        body = _exactly(source, size, path, on_block or (lambda _: None), block)
        headers = {"Content-Length": str(size)}
        self._done(_put(f"store {path}", path, body, headers), 201)

    def upload_empty(self, path: str) -> None:
        """Store a file of zero bytes (facts 3.6)."""
        content = b'{"base64Content":"","type":"File","md5":null}'
        headers = {"Content-Type": "application/carmin+json"}
        self._done(_put(f"store {path}", path, content, headers), 201)

    @contextmanager
    def download(self, path: str, offset: int = 0, size: int | None = None) -> Iterator[Download]:
        """Open a file for reading from offset on (facts 3.8); `size`: its bytes, as VIP's list says.

        The blocks raise TransferMismatch where the connection ends early: go on from what came.
        Entering raises it where the file cannot be gone on with from offset: begin again from 0.
        """
        ask = _content(path, offset)
        with self._connection.answer(ask, 200, 206, *([416] if offset else [])) as response:
            if response.headers.get("content-type", "").startswith("text/html"):
                raise BadAnswer(f"A web page came in place of {path}; is there a proxy?")
            found = coding(response)
            if found and size is not None:
                if response.status_code != 200:
                    raise wire.begin_anew(
                        f"A proxy compressed a part of the file to '{ask.words}'."
                    )
                yield Download(size, _encoded_blocks(response.iter_raw(), size, path), found)
                return
            part = wire.span(response.status_code, response.headers, offset, ask.words, size)
            yield Download(part.total, _blocks(plain(response), part, offset, path))

    def delete(self, path: str) -> None:
        """Ask for the removal of a file or a whole tree; it happens later, or never (facts 3.7)."""
        route = wire.path_route(path)
        self._done(Ask(f"remove {path}", "DELETE", route), 204)

    # pipelines

    def pipelines(self) -> tuple[Descriptor, ...]:
        """Return the pipelines of this account, without parameters; none raises PipelineUnavailable."""
        found = self._read(wire.PIPELINES, Ask("list the pipelines", "GET", "pipelines"))
        if not found:
            raise PipelineUnavailable(
                "This account may not use any pipeline yet.",
                remedy(PipelineUnavailable, self.portal),
            )
        return tuple(answer.descriptor() for answer in found)

    def pipeline(self, pipeline_id: str) -> Descriptor:
        """Return a pipeline with its parameters; outputs and pairs are in `descriptor` only."""
        route = wire.pipeline_route(pipeline_id)
        ask = Ask(f"describe the pipeline {pipeline_id}", "GET", route)
        return self._read(wire.PIPELINE, ask).descriptor()

    def descriptor(self, pipeline_id: str) -> dict[str, object]:
        """Return the Boutiques descriptor of a pipeline, as VIP gives it (facts 4.1)."""
        route = wire.pipeline_route(pipeline_id)
        words = f"give the descriptor of {pipeline_id}"
        found = self._read(wire.BOUTIQUES, Ask(words, "GET", route, {"format": "boutiques"}))
        if not isinstance(found.get("inputs"), list) or wire.is_deep(found):
            raise BadAnswer(f"VIP did not {words}: it has no inputs, or is nested too deeply.")
        return found

    # executions

    def executions(self, limit: int = 500) -> tuple[Execution, ...]:
        """Return the newest executions, 500 at most; without values, results and jobs (facts 5.7).

        One of which VIP does not say which one it is has no id.
        """
        ask = Ask("list the executions", "GET", "executions", {"limit": limit})
        return tuple(wire.executions(self._body(ask), ask.words))

    def execution(self, execution_id: str) -> Execution:
        """Return one execution with everything that VIP knows of it."""
        route = wire.execution_route(execution_id)
        ask = Ask(f"describe the execution {execution_id}", "GET", route)
        return self._read(wire.EXECUTION, ask).execution()

    def launch(
        self,
        name: str,
        pipeline_id: str,
        values: Mapping[str, LaunchValue],
        results_location: str,
    ) -> Execution:
        """Start an execution; its values are empty at first (facts 5.7).

        After Unreachable, BadAnswer or GenericVipError it may have started all the same (facts
        5.2); any other error proves that it did not.
        """
        body = {
            "name": name,
            "pipelineIdentifier": pipeline_id,
            "inputValues": values,
            "resultsLocation": results_location,
        }
        ask = Ask(f"launch {pipeline_id}", "POST", "executions", json=body)
        return self._read(wire.EXECUTION, ask).execution()

    def kill(self, execution_id: str) -> None:
        """Stop an execution; one that has ended becomes Killed for good (facts 5.11)."""
        route = f"{wire.execution_route(execution_id)}/kill"
        self._done(Ask(f"stop the execution {execution_id}", "PUT", route), 204)

    def job_log(self, execution_id: str, number: int, stream: LogStream) -> str | None:
        """Return the end of a job's log, None where there is none; 8000 while it runs (facts 5.10)."""
        route = f"{wire.execution_route(execution_id)}/jobs/{number:d}/{stream}"
        with self._connection.answer(Ask(f"send {route}", "GET", route), 200) as response:
            text = self._connection.tail(response, f"send {route}")
        return text if wire.is_log(text) else None

    def _read(self, shape: Decoder[T], ask: Ask) -> T:
        return wire.parsed(shape, self._body(ask), ask.words)

    def _body(self, ask: Ask) -> bytearray:
        with self._connection.answer(ask, 200) as response:
            return self._connection.body(response, ask.words)

    def _done(self, ask: Ask, status: int) -> None:
        with self._connection.answer(ask, status) as response:
            self._connection.body(response, ask.words, MAX_DONE)


def _look(words: str, path: str, action: str) -> Ask:
    return Ask(words, "GET", wire.path_route(path), {"action": action})


def _content(path: str, offset: int) -> Ask:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    route = wire.path_route(path)
    return Ask(f"send {path}", "GET", route, {"action": "content"}, headers, slowest=SLOWEST)


def _put(
    words: str,
    path: str,
    content: bytes | Iterator[bytes],
    headers: Mapping[str, str] | None = None,
) -> Ask:
    kind = {"Content-Type": "application/octet-stream"}
    route = wire.path_route(path)
    return Ask(words, "PUT", route, headers={**kind, **(headers or {})}, content=content)


def _exactly(
    source: BinaryIO, size: int, path: str, on_block: OnBlock, most: int
) -> Iterator[bytes]:
    """Yield the blocks of source; the last one only once it is clear that nothing follows."""
    left = size
    while left:
        block = _block(source, min(most, left), path)
        left -= len(block)
        if not block or (not left and _block(source, 1, path)):
            raise LocalFileError(
                f"The file for {path} changed while it was sent.",
                "It is sent again once it has stopped changing.",
            )
        on_block(block)
        yield block


def _block(source: BinaryIO, size: int, path: str) -> bytes:
    try:
        return source.read(size)
    except OSError as error:
        raise LocalFileError(
            f"The file for {path} cannot be read: {error.strerror or type(error).__name__}.",
            "Check its permissions and its disk.",
        ) from error


def _blocks(blocks: Iterator[bytes], part: wire.Span, offset: int, path: str) -> Iterator[bytes]:
    """Yield what lies behind offset, and make sure that it is all of it, and no more."""
    at = part.start
    try:
        for block in () if at == part.total else blocks:
            fresh = block[max(0, offset - at) :]
            at += len(block)
            if at > part.total:
                break
            if fresh:
                yield fresh
    except httpx.TransportError as error:
        raise _cut(path, at, part.total) from error
    if at != part.total:
        raise _cut(path, at, part.total)


def _encoded_blocks(blocks: Iterator[bytes], size: int, path: str) -> Iterator[bytes]:
    """Yield what a proxy made of a file; it is hardly longer than the file, whatever its end."""
    came = 0
    try:
        for block in blocks:
            came += len(block)
            if came > size + size // 64 + BLOCK:
                raise _cut(path, came, size)
            yield block
    except httpx.TransportError as error:
        raise _cut(path, came, size) from error


def _cut(path: str, came: int, total: int) -> TransferMismatch:
    return TransferMismatch(
        f"{came} bytes of {path} came, {total} were announced.",
        "The rest is fetched at the next try.",
    )
