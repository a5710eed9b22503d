"""A traceback that shows the variables of each frame, as pytest, rich and error reports do, shows no key."""

from __future__ import annotations

import io
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from vipsync import VipSession
from vipsync.client.connecting import Connector
from vipsync.client.deadline import limited
from vipsync.client.vip_client import VipClient
from vipsync.errors import VipsyncError
from vipsync.model import Secret, Settings
from vipsync.script.account import Account
from vipsync.settings.keys import Keys, keep_api_key
from vipsync.settings.reading import load

KEY = "7q3v1k9u2m5t8s4r6p0o1n2l3j"
BAD = f"{KEY} {KEY}"
URL = "https://vip.test"
NOWHERE = "http://127.0.0.1:1"

# pytest rewrites the asserts of this file: what is compared must not be a variable that holds the key
SOURCES = ("vipsync", "httpx", "httpcore", "h11", "msgspec")


def shown(error: BaseException) -> str:
    """Return all frames but those of this file, with their variables."""
    text = []
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    chain: traceback.TracebackException | None = whole
    while chain is not None:
        frames = [f for f in chain.stack if Path(f.filename) != Path(__file__)]
        text += ["".join(traceback.StackSummary.from_list(frames).format())]
        text += [str(f.locals) for f in frames]
        text += list(chain.format_exception_only())
        chain = chain.__cause__ or chain.__context__
    return "\n".join(text)


@contextmanager
def dropping() -> Iterator[str]:
    """Give the address of a server that hears a request and says nothing."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                listening.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def refusing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(400, content=f"you sent apikey: {KEY}".encode())


def kept(folder: Path, text: str) -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(0o600)
    return path


CALLS: dict[str, Callable[[Path], object]] = {
    "client, no key": lambda _: VipClient(URL, BAD),
    "client, wrong portal": lambda _: VipClient("ftp://x", KEY),
    "client, nobody there": lambda _: VipClient(NOWHERE, KEY).check_key(),
    "client, refused": lambda _: VipClient(URL, KEY, httpx.MockTransport(refusing)).check_key(),
    "init, no key": lambda _: VipSession.init(api_key=BAD, vip_portal_url=NOWHERE),
    "init, nobody there": lambda _: VipSession.init(api_key=KEY, vip_portal_url=NOWHERE),
    "init, wrong portal": lambda _: VipSession.init(KEY, vip_portal_url="ftp://x"),
    "init, wrong option": lambda _: VipSession.init(KEY, backup_location="moon"),
    "account, no text": lambda _: Account([KEY], NOWHERE),
    "account, bytes": lambda _: Account(KEY.encode(), NOWHERE),
    "keep": lambda folder: keep_api_key(Secret(BAD), URL, folder),
    "file": lambda folder: Keys({}, folder, URL, kept(folder, BAD)).find(Settings("x")),
    "variable": lambda folder: Keys({"VIP_API_KEY": BAD}, folder).find(Settings("x")),
    "another variable": lambda folder: Keys({"VIP_KEY": BAD}, folder, URL).find(
        Settings("x", portal=URL, api_key="VIP_KEY")
    ),
    "portal of nobody": lambda folder: Connector({"VIP_API_KEY": KEY}, None, folder)(
        Settings("x"), "https://elsewhere.test", "id"
    ),
    "settings": lambda folder: load(folder, None, {"VIP_API_KEY": KEY}),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_variable_of_a_frame_shows_a_key(call: str, tmp_path: Path) -> None:
    """Whatever is wrong with the key, the portal or the call."""
    (tmp_path / "settings.toml").write_text("launch = 5\n")
    with pytest.raises((VipsyncError, ValueError)) as caught:
        CALLS[call](tmp_path)
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize("ask", ["check_key", "upload", "launch"])
def test_no_frame_of_a_library_shows_a_key(ask: str) -> None:
    """A connection that breaks leaves frames in which the head of the request lies."""
    asks: dict[str, Callable[[VipClient], object]] = {
        "check_key": VipClient.check_key,
        "upload": lambda vip: vip.upload("/vip/Home/x", io.BytesIO(b"x" * 10**6), 10**6),
        "launch": lambda vip: vip.launch("n", "a/1", {}, "/vip/Home"),
    }
    with dropping() as portal:
        for transport in (None, limited(httpx.HTTPTransport(), seconds=-1)):  # none is sent in time
            with VipClient(portal, KEY, transport) as client:
                with pytest.raises(VipsyncError) as caught:
                    asks[ask](client)
                assert KEY not in shown(caught.value)


def test_an_environment_is_one_and_shows_nothing() -> None:
    """It answers as the one of the process does."""
    keys = Keys({"VIP_API_KEY": KEY}, None)
    assert KEY not in repr(keys)
    assert keys.environ.get("VIP_API_KEY") == KEY
