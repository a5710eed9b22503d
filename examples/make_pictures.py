"""Make the pictures that README.md shows: the page of a few session folders, and a spectrum.

    python examples/make_pictures.py [FOLDER]

The folders run on a VIP on this machine; one signal is cut off, so that its job fails. The picture of
the page needs a Chromium (`apt install chromium`) and `pip install playwright`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from vipsync.local import DEFAULT_KEY, Options, World, running
from vipsync.local.signals import SUBJECTS, as_mrui, signal_of
from vipsync.page.server import running as page_of

STUDIES = {"hippocampus": 4, "cerebellum": 2, "cortex": 3, "phantoms": 0, "thalamus": 2}
SETTINGS = """\
pipeline_id = "mrs-spectrum/1.0"

[input_settings]
signal = "*.mrui"

[inputs]
settle = "0.2s"

[monitor]
refresh_time = "1s"
"""
BY_HAND = '\n[launch]\nwhen = "manual"\n'
CUT_OFF = 900


def main() -> None:
    here = Path(__file__).parent / "pictures"
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        studies = Path(place) / "studies"
        make_studies(studies)
        with running(World(Path(place) / "vip", Options())) as portal, work(studies, portal):
            photograph(studies, pictures)
        (spectrum,) = studies.glob("hippocampus/outputs/*/sub-01.mrui.tgz/*.svg")
        shutil.copyfile(spectrum, pictures / "spectrum.svg")
    for picture in sorted(pictures.iterdir()):
        print(f"{picture}: {picture.stat().st_size} bytes")


def make_studies(studies: Path) -> None:
    for name, signals in STUDIES.items():
        inputs = studies / name / "inputs"
        inputs.mkdir(parents=True)
        settings = SETTINGS + (BY_HAND if name == "thalamus" else "")
        (studies / name / "settings.toml").write_text(settings)
        for subject in SUBJECTS[:signals]:
            content = as_mrui(subject, signal_of(subject))
            bad = (name, subject.name) == ("hippocampus", "sub-03")
            (inputs / f"{subject.name}.mrui").write_bytes(content[:CUT_OFF] if bad else content)


@contextmanager
def work(studies: Path, portal: str) -> Iterator[None]:
    environ = {**os.environ, "VIP_API_KEY": DEFAULT_KEY, "VIP_PORTAL_URL": portal}
    command = [sys.executable, "-m", "vipsync", "run", str(studies)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def photograph(studies: Path, pictures: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with page_of([studies], "127.0.0.1:0") as access, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(access.link)
        for words in ("1 needs you", "2 cases done", "3 cases done"):
            page.get_by_text(words).wait_for(timeout=120_000)
        page.screenshot(path=pictures / "page.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
