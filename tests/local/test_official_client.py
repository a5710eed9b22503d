"""The official Python client, unchanged, against the embedded VIP over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vipsync.local import DEFAULT_KEY, Options, World, running

SIGNALS = Path(__file__).parents[2] / "examples" / "signals"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    options = Options(startup_delay=0.1)
    with running(World(tmp_path / "vip", options)) as address:
        yield address


def test_a_whole_session_runs_unchanged(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vip-client uploads, launches with bosh, monitors, downloads, unpacks and removes."""
    from vip_client.classes.VipSession import VipSession
    from vip_client.utils import vip

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(VipSession, "_AVAILABLE_PIPELINES", [])  # it keeps them in the class
    inputs, outputs = tmp_path / "data", tmp_path / "out"
    inputs.mkdir()
    for name in ("sub-01.mrui", "sub-02.mrui"):
        (inputs / name).write_bytes((SIGNALS / name).read_bytes())

    session = VipSession.init(
        api_key=DEFAULT_KEY,
        vip_portal_url=url,
        verbose=False,
        session_name="official",
        input_dir=str(inputs),
        output_dir=str(outputs),
        pipeline_id="mrs-spectrum/1.0",
        input_settings={"signal": [str(file) for file in sorted(inputs.iterdir())]},
    )
    try:
        session.run_session(refresh_time=1)
        statuses = [workflow["status"] for workflow in session.workflows.values()]
        session.finish(timeout=10)
        left = [entry["path"] for entry in vip.list_content("/vip/Home/API")]
    finally:
        for connection in (vip.SESSION, vip.SESSION_NO_RETRY):
            connection.close()

    assert statuses == ["Finished"]
    unpacked = {file.parent.name for file in outputs.rglob("spectrum.csv")}
    assert unpacked == {"sub-01.mrui.tgz", "sub-02.mrui.tgz"}
    assert left == []
