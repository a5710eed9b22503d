"""Any document that others leave among the hidden files, beside results or as settings spoils its own folder at most."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.bench import Bench
from tests.lab.json_values import JSON
from vipsync.errors import VipsyncError
from vipsync.model import Command, MachineSettings, Settings
from vipsync.page.looking import Folders
from vipsync.run.reconciler import Reconciler
from vipsync.settings.machine import load_machine
from vipsync.settings.reading import load
from vipsync.station.settings import load as load_station
from vipsync.status.publish import Publisher

EXAMPLES = int(os.environ.get("VIPSYNC_EXAMPLES", "8"))

DOCUMENTS = (
    ".vipsync/session.json",
    ".vipsync/host.json",
    ".vipsync/status.json",
    ".vipsync/own_files.json",
    ".vipsync/progress.json",
    ".vipsync/leases/abcdefghjk.json",
    "outputs/session_data.json",
    "ON_VIP.txt",
)
"""Files that are read again, and that whoever may write in the folder can write."""

KEYS = st.sampled_from(
    [
        "id",
        "path",
        "host",
        "at",
        "session_id",
        "command",
        "cases",
        "options",
        "format",
        "cursor",
        "workflows",
        "settings",
        "files",
        "runs",
    ]
)
"""Names that the documents have."""

NAMES = st.text(max_size=12) | st.sampled_from(
    ["..", "/etc", "a.mrui", "study", "", "0", "é\x1b[2J"]
)
NEARLY = st.dictionaries(KEYS, JSON | NAMES, max_size=6)
CONTENT = st.binary(max_size=60) | (NEARLY | JSON).map(lambda value: json.dumps(value).encode())
WISHES = st.fixed_dictionaries(
    {"command": st.sampled_from([c.value for c in Command]) | NAMES},
    optional={
        "cases": st.lists(NAMES, max_size=3) | JSON,
        "options": st.dictionaries(NAMES, NAMES, max_size=3) | JSON,
        "id": NAMES,
    },
)
REQUESTS = st.lists(WISHES.map(lambda value: json.dumps(value).encode()) | CONTENT, max_size=4)


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    st.dictionaries(st.sampled_from(DOCUMENTS), CONTENT, max_size=4),
    REQUESTS,
    st.booleans(),
)
def test_a_document_that_nobody_has_written_spoils_its_own_folder_at_most(
    documents: dict[str, bytes], requests: list[bytes], again: bool
) -> None:
    """The process goes on, the other folder's results come, and what it has on VIP stays."""
    with tempfile.TemporaryDirectory() as place, closing(Bench(Path(place))) as bench:
        publishers: dict[Path, Publisher] = {}

        def publish(session: Reconciler) -> None:
            publishers.setdefault(session.folder.root, Publisher()).publish(session)

        bench.publish = publish
        study, other = bench.study("study", a="mine"), bench.study("other", b="theirs")
        bench.run(8.0)
        put = {**documents, **{f".vipsync/requests/{i}.json": r for i, r in enumerate(requests)}}
        study.write(put, below=".")
        if again:
            bench.restart()
        bench.run(60.0)
        other.drop(d="later")
        bench.until(lambda: len(other.outputs()) == 2)
        assert set(bench.vip_inputs("other")) == {"b.mrui", "d.mrui"}
        Folders([study.root.parent]).seen()


VALUES = JSON.filter(lambda value: value is not None) | NAMES


def _tables(*kinds: type) -> st.SearchStrategy[dict[str, object]]:
    """Return tables that have some of the keys that these kinds know, with any values."""
    keys = sorted({name for kind in kinds for name in kind.__annotations__})
    inner = st.dictionaries(st.sampled_from(keys) | NAMES, VALUES, max_size=4)
    return st.dictionaries(st.sampled_from(keys) | NAMES, VALUES | inner, max_size=5)


@settings(deadline=None, max_examples=10 * EXAMPLES)
@given(_tables(Settings, MachineSettings))
def test_any_table_is_settings_or_an_error_of_ours(table: dict[str, object]) -> None:
    """Whoever passes a file on gets a sentence, and the process goes on."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with suppress(TypeError, ValueError, AttributeError):  # what TOML cannot hold
            content = tomli_w.dumps(table).encode()
            for file in ("settings.toml", "station.toml", "vipsync.toml"):
                (place / file).write_bytes(content)
        for read in (load, load_station, lambda place: load_machine(place / "vipsync.toml")):
            with suppress(VipsyncError):
                read(place)
