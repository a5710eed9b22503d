"""Archives of files given by name: the same bytes whenever they are made."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping


def tar(members: Mapping[str, bytes]) -> bytes:
    """Return a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def tgz(members: Mapping[str, bytes]) -> bytes:
    """Return a tar that is packed with gzip."""
    return gzip.compress(tar(members), mtime=0)
