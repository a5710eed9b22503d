"""Alerts: who tells them during `run`, and `vipsync notify`, which says where they go."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vipsync.alerts.facts import Message
from vipsync.alerts.receivers import Receiver, receivers
from vipsync.alerts.telling import Alerts, memory_file
from vipsync.commands.context import Context
from vipsync.errors import VipsyncError
from vipsync.status.status import count

logger = logging.getLogger(__name__)

_TEST = Message("vipsync: a test", "Alerts of vipsync arrive here.")


def alerts_of(context: Context) -> Alerts | None:
    """Return who tells what is new, as vipsync.toml says; a mistake in it is said and stops nothing else."""
    machine = context.machine()
    try:
        to = receivers(machine, context.environ)
    except VipsyncError as error:
        logger.warning("No alerts are sent: %s %s", error.message, error.remedy)
        return None
    return Alerts(machine.notify, to, memory_file(context.machine_file)) if to else None


def notify(context: Context, *, test: bool) -> int:
    """Say where alerts go, by kind alone; `test`: send one to each."""
    machine = context.machine()
    to = receivers(machine, context.environ)
    if not to:
        context.reporter.say(f"No alerts are sent: {machine.notify.urls} is not set.")
        return 1
    if test:
        return _test(context, to)
    names, on = ", ".join(receiver.name for receiver in to), ", ".join(machine.notify.on)
    context.reporter.say(
        f"{count(len(to), 'receiver')}: {names}; they are told of what `on` in vipsync.toml names: {on}."
    )
    return 0


def _test(context: Context, to: Sequence[Receiver]) -> int:
    """Send a message to each receiver; say what came of it."""
    troubles = [receiver.send(_TEST) for receiver in to]
    for receiver, trouble in zip(to, troubles, strict=True):
        context.reporter.say(f"{receiver.name}: {trouble or 'sent.'}")
    return 1 if any(troubles) else 0
