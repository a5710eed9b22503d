"""Spectra as the embedded VIP's pipeline makes them, in this process: real pictures, logs and failures."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Mapping
from pathlib import Path

from vipsync.local import Job, JobResult
from vipsync.local.pipelines.mrs_spectrum import main
from vipsync.local.signals import SUBJECTS, as_mrui, signal_of

_HEAD = "[ INFO - Fri Nov 27 10:00:00 UTC 2026 ] Running bosh: /opt/bin/bosh exec launch --stream\n"
_SUMMARY = "Shell command\n{name}\nContainer location\n\nContainer command\n\nExit code\n{code}\n"
_FAILED = (
    "[ ERROR - Fri Nov 27 10:00:03 UTC 2026 ] EXECUTION_FAILED - execution was not successful\n"
)


def spectra(job: Job) -> Mapping[str, bytes | Path] | JobResult:
    """Do the work of mrs-spectrum; a failure leaves the log that VIP would have."""
    name = str(job.invocation["signal"])
    signal = job.files["signal"]
    assert signal is not None
    job.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(signal, job.folder / name)
    result = job.folder / f"{name}.tgz"
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main([str(job.folder / name), str(result)])
    if not code:
        return {"result": result}
    log = f"{_HEAD}{said.getvalue()}{_SUMMARY.format(name='mrs_spectrum', code=code)}"
    return JobResult(50, job.submitted, stdout=log.encode(), stderr=_FAILED.encode())


def a_signal(number: int = 0) -> bytes:
    """Return the signal of one of the simulated subjects."""
    subject = SUBJECTS[number % len(SUBJECTS)]
    return as_mrui(subject, signal_of(subject))
