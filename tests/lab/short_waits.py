"""`python -m tests.lab.short_waits ...` is the command `vipsync`, for stories in real time that kill it.

It waits for late writers and doubtful launches in proportion to the embedded VIP of these stories,
whose transfers time out in at most a second, and not in 45 (facts 3.5).
"""

from __future__ import annotations

from vipsync.cli import main
from vipsync.plan import launching, removing, results

LATE_WRITERS = 3.0
DOUBT = 10.0

if __name__ == "__main__":
    for module in (results, removing):
        assert module.LATE_WRITERS > LATE_WRITERS
        module.LATE_WRITERS = LATE_WRITERS  # type: ignore[attr-defined]
    assert launching.DOUBT > DOUBT
    launching.DOUBT = DOUBT
    main()
