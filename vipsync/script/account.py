"""One key on one portal: what all sessions of a script share that run with it."""

from __future__ import annotations

import json
import os
import re
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

from vipsync.cases.descriptor import parse_descriptor
from vipsync.client.connecting import key_print
from vipsync.client.connection import portal_address
from vipsync.client.http import httpx
from vipsync.client.vip_client import VipClient
from vipsync.errors import (
    DiskError,
    KeyMissing,
    PropertyTypeError,
    PropertyValueError,
    Unreachable,
    VipsyncError,
)
from vipsync.model import PORTAL, Descriptor, Environment, Given, Secret, Settings
from vipsync.plan.memory import FIRST_PAUSE, OUTAGES, PATIENCE
from vipsync.rows import CachedPipeline
from vipsync.run.account import Pacer
from vipsync.run.dispatch import Executor, Workers
from vipsync.run.timing import Timing
from vipsync.settings.keys import KEY_VARIABLE, PORTAL_VARIABLE, Keys

T = TypeVar("T")

_workers: Workers | None = None
_workers_lock = threading.Lock()


class Account:
    """A handshake with VIP: sessions made with it run under its key.

    `api_key` is the key itself, the path of a file that holds it, or the name of an environment
    variable; where VIP_API_KEY is not set, it is the key that `vipsync login` keeps for the portal.
    `vip_portal_url` is the portal's address; by default that in VIP_PORTAL_URL, else VIP's own.
    `transport`, `timing` and `executor` are for tests.
    """

    def __init__(
        self,
        api_key: object = KEY_VARIABLE,
        vip_portal_url: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        timing: Timing | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Take the key in and ask VIP whether it knows it; raise KeyMissing or KeyRefused."""
        api_key = Given(api_key)
        named = vip_portal_url or os.environ.get(PORTAL_VARIABLE) or PORTAL
        self.portal = portal_address(named)
        self._key = found_key(api_key, Environment(os.environ), self.portal)
        self.client = VipClient(self.portal, self._key, transport)
        self.timing = timing or Timing()
        self.pace = Pacer(self.timing)
        self._executor = executor
        self._descriptors: dict[str, Descriptor] = {}
        self._raw: dict[str, str] = {}
        weakref.finalize(self, self.client.close)  # sessions share it: the last one lets it go
        self.client.check_key()

    def __repr__(self) -> str:
        return f"Account({vars(self).get('portal')!r})"

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself: copies of a session work under the same handshake."""
        return self

    @property
    def executor(self) -> Executor:
        """What carries out transfers: the same few threads for all accounts of a process."""
        return self._executor or shared_workers()

    def key_print(self, session_id: str) -> str:
        """Return a word that tells this key from others, and is none."""
        return key_print(self._key, session_id)

    @cached_property
    def pipelines(self) -> dict[str, Descriptor]:
        """The pipelines that this account may run, by their identifiers."""
        return {p.pipeline_id: p for p in self.client.pipelines()}

    def patiently(self, question: Callable[[], T]) -> T:
        """Ask VIP something for which no step is planned; what may pass is waited out as in a step."""
        clock, pause = self.timing.clock, FIRST_PAUSE
        end = clock() + PATIENCE
        while True:
            try:
                return question()
            except VipsyncError as error:
                if not isinstance(error, OUTAGES):
                    raise
                if clock() >= end:
                    raise out_of_order(error) from error
            self.timing.sleep(min(pause, end - clock()))
            pause *= 2

    def descriptor(self, pipeline_id: str) -> Descriptor:
        """Return the definition of a pipeline; it is asked for once."""
        if pipeline_id not in self._descriptors:
            raw = self.client.descriptor(pipeline_id)
            self._descriptors[pipeline_id] = parse_descriptor(raw, pipeline_id)
            self._raw[pipeline_id] = json.dumps(raw)
        return self._descriptors[pipeline_id]

    def as_given(self, pipeline_id: str) -> CachedPipeline:
        """Return the definition of a pipeline as VIP gave it, as the ledger keeps it."""
        self.descriptor(pipeline_id)
        return CachedPipeline(pipeline_id, self._raw[pipeline_id])


def out_of_order(error: VipsyncError) -> Unreachable:
    """Return the error of an outage: whatever VIP answers, it does nothing of what it is asked to."""
    if isinstance(error, Unreachable):
        return error
    return Unreachable(error.message, error.remedy, retry_after=error.retry_after)


def shared_workers() -> Workers:
    """Return the threads that all sessions of this process share (house 6.6)."""
    global _workers
    with _workers_lock:
        if _workers is None:
            _workers = Workers()
        return _workers


def found_key(api_key: object, environ: Mapping[str, str], portal: str = PORTAL) -> Secret:
    """Return the key that a file holds, or a variable, or the text itself; never shown in an error.

    Where a script names no other, the key is the one that the command line finds.
    """
    api_key = Given(api_key)
    if isinstance(api_key.value, Secret):
        return api_key.value
    if not isinstance(api_key.value, (str, os.PathLike)):
        raise PropertyTypeError(
            "`api_key` should be a string: a key, a file's path, or a variable's name."
        )
    text = os.fspath(api_key.value)
    path = Path(os.path.expanduser(text))  # noqa: PTH111  # as it is where no home is known
    if _is_file(path):
        return Secret(_read(path), str(path))
    if text == KEY_VARIABLE:
        return Keys(environ, portal=portal).find(Settings("", portal=portal))
    if text in environ:
        return Secret(environ[text].strip(), f"{text} in the environment")
    if (
        text.isidentifier() and text.isupper()
    ):  # keys are made of digits and small letters (facts 1.1)
        raise KeyMissing(
            f"The environment variable {text} is not set.",
            "Set it to your key, or give the path of a file that holds it.",
        )
    if isinstance(api_key.value, os.PathLike) or _FILE.search(text):
        raise KeyMissing(  # without the text: it may be a secret all the same
            f"`api_key` reads like the path of a file, and there is no such file in {Path.cwd()}.",
            "Correct the path, or give the key itself. Nothing was sent.",
        )
    return Secret(text.strip(), "the script")


_FILE = re.compile(r"[/\\]|^~|\.[A-Za-z]\w{0,4}$")
"""What a path has and no key: a separator, or a short extension."""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or a zero byte: a key, not a path
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig").strip()
    except OSError as error:
        raise DiskError(f"The API key in {path} cannot be read.", "Mend the file.") from error
    except UnicodeDecodeError:
        raise PropertyValueError(f"{path} holds no API key: it is no text.") from None
