"""The agent of launchd on macOS (launchd.plist(5)). PURE."""

from __future__ import annotations

import plistlib

from vipsync.service.program import NAME, Program

LABEL = f"org.{NAME}.run"
PLIST = f"{LABEL}.plist"


def agent(program: Program, errors: str) -> bytes:
    """Return the property list; `errors` is the file for what is said before the folders have logs."""
    program.check()
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(program.words),
            "RunAtLoad": True,
            "KeepAlive": True,
            "ThrottleInterval": 30,
            "ProcessType": "Background",
            "StandardOutPath": "/dev/null",
            "StandardErrorPath": errors,
        }
    )
