"""Make the client of a session: its portal, its key, and a print that tells keys apart."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vipsync.model import Environment, Secret, Settings, replace
from vipsync.settings.keys import Keys

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient


class Connector:
    """Give each portal and key one client, which all folders of a process share."""

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        key_file: Path | None = None,
        config_dir: Path | None = None,
        portal: str | None = None,
    ) -> None:
        variables = Environment(os.environ if environ is None else environ)
        self._keys = Keys(variables, config_dir, portal, key_file)
        self._clients: dict[tuple[str, str], VipClient] = {}

    def __call__(self, settings: Settings, portal: str, session_id: str) -> tuple[VipClient, str]:
        """Return a client and the print of its key; raise KeyMissing where there is no key.

        The key is looked up anew each time, so that a new one is taken without a restart.
        """
        from vipsync.client.vip_client import VipClient  # costs more than the rest of `status`

        key = self._keys.find(replace(settings, portal=portal))
        place = (portal, key_print(key, "client"))
        if place not in self._clients:
            self._clients[place] = VipClient(portal, key)
        return self._clients[place], key_print(key, session_id)

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients.values():
            client.close()


def key_print(key: Secret, session_id: str) -> str:
    """Return a word that differs from key to key and from session to session.

    A key has 130 random bits (facts 1.1): nobody finds it from its hash.
    """
    salt = session_id.encode()
    return hashlib.blake2b(key.reveal().encode(), key=salt, digest_size=8).hexdigest()
