"""Alerts: who tells them during `run`, and `vipsync notify`, which says where they go."""

from __future__ import annotations

import logging

from vipsync.alerts.facts import Message
from vipsync.alerts.receivers import receivers
from vipsync.alerts.telling import Alerts, memory_file
from vipsync.commands.context import Context
from vipsync.errors import VipsyncError
from vipsync.status.status import count

logger = logging.getLogger(__name__)

_TEST = Message("vipsync: a test", "Alerts of vipsync arrive here.")


def alerts_of(context: Context) -> Alerts:
    """Return who tells what is new, as vipsync.toml says; a mistake in it is told and stops nothing else."""
    machine, to = context.machine(), []
    try:
        to = receivers(machine, context.environ)
    except VipsyncError as error:
        logger.warning("No alerts are sent: %s %s", error.message, error.remedy)
    return Alerts(machine.notify, to, memory_file(context.machine_file))


def notify(context: Context, *, test: bool) -> int:
    """Say where alerts go, by kind alone; `test`: send one to each."""
    settings, to = context.machine().notify, receivers(context.machine(), context.environ)
    if not to:
        context.reporter.say(f"No alerts are sent: {settings.urls} is not set.")
        return 1
    if not test:
        on = ", ".join(settings.on)
        context.reporter.say(f"{count(len(to), 'receiver')}, told of: {on}. Try it with --test.")
        return 0
    taken = [receiver.send(_TEST) for receiver in to]
    for number, receiver in enumerate(to):
        words = "sent" if taken[number] else "could not be sent: is its address right, and up?"
        context.reporter.say(f"{number + 1} ({receiver.kind}): {words}")
    return 0 if all(taken) else 1
