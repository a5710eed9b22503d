"""What jobs write that people look at: spectra, a fit with its table and PDF, a volume; some fail."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

from tests.lab.archives import tgz
from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.pipelines import Raw, written
from vipsync.local import Job
from vipsync.local.pipelines import mrs_spectrum as mrs
from vipsync.local.signals import SUBJECTS, as_mrui, signal_of
from vipsync.results.gallery import Gallery
from vipsync.status.publish import Publisher

OUTPUTS = "archive=[signal].tgz report=[signal].pdf table=[signal].table"


def fit(outputs: str) -> Raw:
    """Return a pipeline with these outputs."""
    image = {"type": "docker", "image": "registry.test/mrs/fit:1.0"}
    inputs = "signal:File basis:File? broadening:Double?"
    return {**written("fit", inputs, outputs), "container-image": image}


TABLE = """\
 $$CONC 5 lines in following concentration table = NROW 4 8
    Conc.  %SD /Cr+PCr  Metabolite
   2.190   14%   0.313  Asp
   7.003    4%   1.000  Cr
   1.4E-2 999%  2.0E-3  -CrCH2
   9.541    3%   1.364+NAAG
   1.830    5%   0.261  GPC+PCh

 $$MISC 1 lines in following misc. output table
  FWHM = 0.052 ppm    S/N = 22
"""


def pdf(text: str) -> bytes:
    """Return a PDF of one page with a line of text."""
    shown = f"BT /F1 24 Tf 60 700 Td ({text}) Tj ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown),
    )
    parts = [b"%PDF-1.4\n"]
    parts += [b"%d 0 obj\n%s\nendobj\n" % (n, o) for n, o in enumerate(objects, 1)]
    return b"".join([*parts, b"trailer << /Root 1 0 R /Size 5 >>\n%%EOF\n"])


def volume(shape: tuple[int, ...] = (60, 72, 40)) -> bytes:
    """Return a packed NIfTI with a bright spot on one side."""
    import nibabel
    import numpy as np

    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:3]), indexing="ij")
    head = sum(a**2 for a in axes) < 0.8
    spot = (axes[0] - 0.3) ** 2 + (axes[1] - 0.3) ** 2 + axes[2] ** 2 < 0.06
    data = (head * 90 + spot * 120).astype(np.int16)
    data = data.reshape(*data.shape, *(1 for _ in shape[3:])) * np.ones(shape, np.int16)
    image = nibabel.Nifti1Image(data, np.diag([2, 2, 3, 1]))  # type: ignore[no-untyped-call]
    return gzip.compress(image.to_bytes(), mtime=0)


def spectrum(signal: bytes, name: str) -> dict[str, bytes]:
    """Return what mrs-spectrum makes of a signal."""
    lines = mrs.spectrum(mrs.read_signal(signal), line_broadening=3.0)
    peaks = mrs.find_peaks(lines, 5)
    rows = "".join(f"{p.ppm:.3f},{p.height:.4g},{p.name}\n" for p in peaks)
    return {
        "spectrum.svg": mrs.picture(name, lines, peaks).encode(),
        "peaks.csv": f"ppm,height,usually\n{rows}".encode(),
    }


def work(job: Job) -> Mapping[str, bytes | Path] | int:
    """Analyse a signal; what is none makes the job fail."""
    signal = job.files["signal"]
    if signal is None or len(signal.read_bytes()) < 1000:
        return 50
    name = str(job.invocation["signal"])
    return {
        "archive": tgz(spectrum(signal.read_bytes(), name)),
        "report": pdf(name),
        "table": TABLE.encode(),
        **({"volume": volume()} if "volume" in job.pipeline.outputs else {}),
    }


def findings(bench: Bench, *, volumes: bool = True) -> Study:
    """Return a session with three signals, two files that are none, and a page of results that is kept.

    Volumes take a second each to draw.
    """
    bench.world.pipelines.add(fit(f"{OUTPUTS} volume=[signal].nii.gz" if volumes else OUTPUTS))
    bench.runner.work = work
    bench.publish = Publisher(Gallery()).publish
    settings = SETTINGS.replace("spectrum/1", "fit/1") + 'basis = "basis.zip"\nbroadening = 2.5\n'
    study = bench.study(settings=settings, **{"sub-05": "no signal", "sub-06": "nor this"})
    study.write({f"{s.name}.mrui": as_mrui(s, signal_of(s)) for s in SUBJECTS[:2]})
    study.write({"été 1.mrui": as_mrui(SUBJECTS[2], signal_of(SUBJECTS[2])), "basis.zip": b"basis"})
    return study
