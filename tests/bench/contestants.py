"""What carries the files: vipsync as a folder, vip-client as its users write it, curl."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import venv
from collections.abc import Iterable
from pathlib import Path

from tests.bench.measured import Measure, command
from tests.bench.server import KEY, Server

VIP_CLIENT = "vip-client==0.1.10"
STREAMS = 8


def vipsync_once(study: Path, server: Server, *options: str) -> Measure:
    """Run a session folder until it is at rest."""
    words = [sys.executable, "-m", "vipsync", *options, "run", "--once", str(study)]
    return command(words, environ=server.environ)


def study(folder: Path, server: Server, settings: str = "", session: str = "") -> Path:
    """Make a session folder that needs no time to be sure that files are quiet."""
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    head = f'portal = "{server.url}"\n' + (f'session_name = "{session}"\n' if session else "")
    quick = '[inputs]\nsettle = "0s"\n[monitor]\nrefresh_time = "1s"\n[finish]\ngrace = "0s"\n'
    (folder / "settings.toml").write_text(head + settings + quick)
    return folder


def client_python(scratch: Path) -> Path:
    """Return a Python that has vip-client from PyPI, in an environment of its own."""
    place = scratch / "vip-client"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", VIP_CLIENT], check=True)
    return python


def vip_client(python: Path, cwd: Path, server: Server, steps: str) -> Measure:
    """Run steps of a script as vip-client's users write them."""
    script = textwrap.dedent(
        f"""
        from vip_client import VipSession
        VipSession.init(api_key={KEY!r}, vip_portal_url={server.url!r}, verbose=False)
        """
    ) + textwrap.dedent(steps)
    return command([str(python), "-c", script], cwd=cwd)


def curl_up(server: Server, files: Iterable[Path], remote: str) -> Measure:
    """Send files with curl, eight at once."""
    return _curl(
        f'upload-file = "{path}"\nurl = "{server.url}/rest/path{remote}/{path.name}"\n'
        for path in files
    )


def curl_down(server: Server, names: Iterable[str], remote: str, to: Path) -> Measure:
    """Fetch files with curl, eight at once."""
    to.mkdir(parents=True, exist_ok=True)
    return _curl(
        f'url = "{server.url}/rest/path{remote}/{name}?action=content"\noutput = "{to / name}"\n'
        for name in names
    )


def _curl(transfers: Iterable[str]) -> Measure:
    common = f'header = "apikey: {KEY}"\nfail\nsilent\nshow-error\n'
    with tempfile.NamedTemporaryFile("w", suffix=".curl") as config:
        config.write("next\n".join(common + transfer for transfer in transfers))
        config.flush()
        words = ["curl", "--parallel", "--parallel-immediate", "--parallel-max", str(STREAMS)]
        return command([*words, "--config", config.name])
