"""A station on the bench: its export, what a scanner writes there, and what tests look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.lab.bench import Bench, Study, put
from vipsync.run.loop import Keeper as Kept
from vipsync.station.backroom import AtOnce
from vipsync.station.folder import StationFolder
from vipsync.station.keeper import Keeper
from vipsync.station.model import Asked
from vipsync.station.steps import StationStatus, StudyState

TEMPLATE = """\
pipeline_id = "spectrum/1"
portal = "https://vip.test"

[input_settings]
signal = { zip = "./", as = "study.zip" }

[privacy]
plain = ["*"]
"""

QUIET = 600.0


class Station:
    """One station folder beside its export."""

    def __init__(self, bench: Bench, root: Path, export: Path) -> None:
        self.bench, self.root, self.export = bench, root, export
        self._asked, self._written = 0, 0.0

    def write(self, study: str, files: Mapping[str, str | bytes]) -> None:
        """Let the scanner write files of a study."""
        put(self.export / study, files)
        for name in files:
            self._written += 0.001  # files that are written in one moment have one time
            os.utime(self.export / study / name, (self.bench.clock.now() + self._written,) * 2)

    def rename(self, before: str, after: str) -> None:
        """Give a folder of the export another name."""
        (self.export / before).rename(self.export / after)

    def drop(self, study: str) -> None:
        """Take a folder out of the export."""
        shutil.rmtree(self.export / study)

    def ask(self, word: str, study: str) -> None:
        """Say something of a study, as `vipsync station` does."""
        self._asked += 1
        request = Asked(f"{self.bench.clock.now():.3f}-{self._asked:04}", word, study)
        StationFolder(self.root).ask(request)

    @property
    def keeper(self) -> Keeper:
        """The keeper in the running loop."""
        keeper = self.bench.loop.keepers.get(self.root)
        if keeper is None:
            self.bench.loop.turn()
            keeper = self.bench.loop.keepers[self.root]
        assert isinstance(keeper, Keeper)
        return keeper

    @property
    def status(self) -> StationStatus:
        """What `status` tells of it now."""
        assert self.keeper.status is not None
        return self.keeper.status

    def states(self) -> dict[str, StudyState]:
        """Return how each study stands, by its name."""
        return {report.name: report.state for report in self.status.studies}

    def exit_code(self) -> int:
        """Return the code with which `status` ends."""
        return self.status.exit_code

    def reasons(self) -> str:
        """Return all that is said of studies."""
        words = (f"{r.name}: {r.state}: {r.reason} {r.remedy}" for r in self.status.studies)
        return "\n".join([self.status.sentence, *words])

    def sessions(self) -> list[str]:
        """Return the names of the session folders."""
        folder = self.root / "sessions"
        return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []

    def session(self, name: str) -> Study:
        """Return a session of the station."""
        return Study(self.bench, self.root / "sessions" / name)

    def started(self) -> list[str]:
        """Return the sessions that were launched, in this order; those that ran again more than once."""
        names = (e.submission.values["signal"][0] for e in self.bench.started())
        return [name.split("/API/")[1].split("/")[0].rsplit("-", 1)[-1] for name in names]


def station(
    bench: Bench, extra: str = "", template: str = TEMPLATE, name: str = "scanner", **settings: str
) -> Station:
    """Make a station on the bench. `settings` go into [station] as they are."""
    bench.new_keeper = new_keeper
    root, export = bench.root / name, bench.root.parent / "export"
    export.mkdir(parents=True, exist_ok=True)
    (root / "template").mkdir(parents=True)
    (root / "template" / "settings.toml").write_text(template)
    lines = {"exports": f'["{export}"]', "since": '"all"', **settings}
    text = "\n".join(f"{key} = {value}" for key, value in lines.items())
    (root / "station.toml").write_text(f"[station]\n{text}\n{extra}")
    bench.take(root)
    return Station(bench, root, export)


def new_keeper(root: Path, timing: object, news: object, stop: object) -> Kept:
    """Make a keeper that does what takes long at once."""
    return Keeper(root, timing, AtOnce(news), stop=stop)  # type: ignore[arg-type]
