"""Send one alert: `python -m vipsync.alerts.sending`, with what is to be sent as JSON on stdin.

A program of its own with limits, since an answer comes from outside: it has no key in its environment,
writes nothing, and says by its exit code what came of it. Its library is the extra `notify`.
"""

from __future__ import annotations

import sys

import msgspec
from msgspec import Struct

from vipsync.results.mosaic import limit

TAKEN, NOT_TAKEN, NOT_UNDERSTOOD = 0, 1, 3

MEMORY = 1024**3
"""Bytes of this process, into which apprise reads a whole answer."""

PATIENCE = 30.0
"""Seconds that a receiver may take to answer; one that did take a message must not get it again."""


class Letter(Struct, frozen=True):
    """A message and the address that it goes to, which is a secret."""

    url: str
    title: str
    text: str
    kind: str


def send(letter: Letter) -> int:
    """Send, and return the exit code."""
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode

    asset = AppriseAsset(
        app_id="vipsync",
        async_mode=False,
        http_redirects=False,
        storage_mode=PersistentStoreMode.MEMORY,
    )
    to = Apprise(asset=asset)
    if not to.add(letter.url):
        return NOT_UNDERSTOOD
    for service in to:
        service.socket_read_timeout = max(service.socket_read_timeout, PATIENCE)
    kind = NotifyType(letter.kind)
    taken = to.notify(letter.text, letter.title, notify_type=kind, body_format=NotifyFormat.TEXT)
    return TAKEN if taken else NOT_TAKEN


if __name__ == "__main__":
    limit(MEMORY)
    sys.exit(send(msgspec.json.decode(sys.stdin.buffer.read(), type=Letter)))
