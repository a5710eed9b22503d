"""The embedded VIP: VIP's REST API on this machine, from a folder.

It follows the real server's behaviour, traps included, and knows nothing of the rest of vipsync.

    clock = ManualClock()
    world = World(root, Options(), clock, random.Random(1), FastRunner(clock, seconds=10))
    create_app(world)                     the WSGI application
    InProcess(world)                      an httpx transport: httpx.Client(transport=..., base_url="http://vip")
    with running(world) as url: ...       served by waitress in a thread, on a free port
    serve_forever(root, Options(), ready=print)

    world.faults.arm(Kind.UPLOAD_TIMES_OUT, "/vip/Home/*/001.mrui", times=1, seconds=20)
    world.requests                        every request so far: Request(method, path)
    world.pipelines.add(descriptor)       one more pipeline
    read_world(file, Options())           Options with the users and groups of a TOML file

The default key is `local` (DEFAULT_KEY). In process, use InProcess rather than httpx.WSGITransport: it
keeps non-ASCII paths, and fails as a socket does. A folder can be served again later. Without a runner, jobs run with `bosh exec launch`.
With a FastRunner they are a function, `work(job) -> {output id: bytes or Path}` or an exit code, that runs
`seconds` of the clock later. Everything that takes time (late transfers, removals, engines, jobs) is looked
up from the clock at each request, so that a ManualClock makes runs repeat exactly.
"""

from __future__ import annotations

from vipsync.local.app import create_app
from vipsync.local.clock import Clock, ManualClock, SystemClock
from vipsync.local.faults import FOR_EVER, Fault, Faults, Kind
from vipsync.local.options import DEFAULT_KEY, Options, User
from vipsync.local.runner import FastRunner, Job, JobHandle, JobResult, JobRunner, sample_outputs
from vipsync.local.server import running, serve_forever
from vipsync.local.storage import stored_name
from vipsync.local.transport import InProcess
from vipsync.local.world import Request, World
from vipsync.local.worldfile import read_world

__all__ = [
    "DEFAULT_KEY",
    "FOR_EVER",
    "Clock",
    "FastRunner",
    "Fault",
    "Faults",
    "InProcess",
    "Job",
    "JobHandle",
    "JobResult",
    "JobRunner",
    "Kind",
    "ManualClock",
    "Options",
    "Request",
    "SystemClock",
    "User",
    "World",
    "create_app",
    "read_world",
    "running",
    "sample_outputs",
    "serve_forever",
    "stored_name",
]
