"""Run one data set with several parameter sets: send it once, launch everything, then collect.

    python several_sessions.py [FOLDER WITH SIGNALS]

The key is read from the environment variable VIP_API_KEY, the portal from VIP_PORTAL_URL; without
the latter it is the production portal. Try it with `vipsync local`, which needs no account.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vipsync import VipSession

PIPELINE = "mrs-spectrum/1.0"
PARAMETERS = {
    "raw": {"line_broadening": 0},
    "smooth": {"line_broadening": 5, "zero_fill": 2},
    "smoother": {"line_broadening": 20, "zero_fill": 2},
}


def main(data: Path, refresh_time: float = 30) -> None:
    """Run every parameter set on all signals of a folder."""
    VipSession.init()

    # One session owns the data set on VIP; it runs nothing itself.
    owner = VipSession("signals").upload_inputs(data)

    # The others use it there. Launching needs no waiting: VIP works on all of them at once.
    runs = []
    for name, parameters in PARAMETERS.items():
        settings = {"signal": sorted(data.glob("*.mrui")), **parameters}
        run = VipSession(f"signals-{name}", input_dir=data, pipeline_id=PIPELINE)
        run.get_inputs(owner).launch_pipeline(input_settings=settings)
        runs.append(run)

    # If this script is stopped here and started again, it launches anew; to go on with what runs,
    # take the sessions up by their names: VipSession("signals-raw").monitor_workflows().
    for run in runs:
        run.monitor_workflows(refresh_time).download_outputs().finish()
    owner.finish()
    for run in runs:
        results = sorted(Path(run.output_dir).glob("*/*.tgz"))
        print(f"{run.session_name}: {len(results)} results in {run.output_dir}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "signals"))
