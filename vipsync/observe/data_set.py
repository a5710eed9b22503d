"""The data set of a script: what of it is sent, as the properties of its session say where it lies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct, field

from vipsync.disk.ignoring import IgnoreRules
from vipsync.model import Settings
from vipsync.names import BACKUP
from vipsync.observe.in_force import InForce

NEVER_SENT = (".DS_Store", "Thumbs.db", ".vipsync/", "/vip_outputs/")


class Local(Struct, frozen=True):
    """What a step looks at on this machine. `inputs` is None where it needs no data set.

    `texts` are what VIP gets beside the files and the name of the session.
    """

    outputs: Path
    inputs: Path | None = None
    settings: Settings = field(default_factory=lambda: Settings(""))
    texts: tuple[str, ...] = ()

    @property
    def in_force(self) -> InForce:
        """What of the data set is sent, and where the results lie."""
        return InForce(self.settings, "", self.ignored(), self.inputs, self.outputs)

    def ignored(self, sent: Iterable[str] = ()) -> IgnoreRules:
        """Leave out what systems leave behind, and what is output of this or another session.

        `sent`: paths below INPUTS, among which the backups of other sessions may be.
        """
        rules = [*NEVER_SENT, *map(_anchored, outputs_among(sent))]
        if self.inputs:
            root, outputs = self.inputs.resolve(), self.outputs.resolve()
            if root in outputs.parents:
                rules.append(_anchored(outputs.relative_to(root).as_posix()))
        return IgnoreRules(rules, (), "")


def outputs_among(files: Iterable[str]) -> list[str]:
    """Return the folders that are outputs of some session: they hold its backup."""
    folders = (path.removesuffix(BACKUP) for path in files if path.endswith(f"/{BACKUP}"))
    return sorted(folder.rstrip("/") for folder in folders)


def _anchored(folder: str) -> str:
    """Return an ignore pattern for this very folder."""
    return "/" + "".join(f"\\{c}" if c in "\\*?[]!# " else c for c in folder) + "/"
