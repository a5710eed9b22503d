"""Ignore rules: gitignore patterns, and which of them leaves a path out."""

from __future__ import annotations

from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from vipsync.errors import SettingsError

BUILT_IN_IGNORE = (
    ".*", "~$*", "*.tmp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.lock",
    ".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir", r"\#recycle", ".Trash*", ".smbdelete*",
    ".~lock*", "__MACOSX", ".nfs*", "Icon[\r]",
)  # fmt: skip
"""Names of files that are not finished, or that systems leave behind."""


class IgnoreRules:
    """Three lists of patterns; later ones win over earlier ones. A folder's path ends in `/`.

    Letters match in any case, as they do in the patterns of settings: a name that another system
    writes in capitals is the same name.
    """

    def __init__(self, builtin: Sequence[str], extra: Sequence[str], vipsyncignore: str) -> None:
        self._patterns = [
            (pattern, place)
            for place, patterns in (
                ("built in", builtin),
                ("settings.toml, [inputs] ignore", extra),
                (".vipsyncignore", vipsyncignore.splitlines()),
            )
            for pattern in patterns
            if pattern  # an empty one is not counted by pathspec either
        ]
        try:
            self._spec = GitIgnoreSpec.from_lines(pattern.lower() for pattern, _ in self._patterns)
        except ValueError as error:
            raise SettingsError(
                f"An ignore pattern cannot be read: {error}",
                "Mend it in settings.toml, [inputs] ignore, or in .vipsyncignore.",
            ) from error

    def __call__(self, path: str) -> bool:
        """Tell whether a path is left out."""
        return self._spec.match_file(path.lower())

    def rule(self, path: str) -> str:
        """Return the pattern that leaves a path or a folder above it out, and where it stands; else ""."""
        parts = path.rstrip("/").split("/")
        above = ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
        for place in (*above, path):
            found = self._spec.check_file(place.lower())
            if found.include and found.index is not None:
                return "{} ({})".format(*self._patterns[found.index])
        return ""
