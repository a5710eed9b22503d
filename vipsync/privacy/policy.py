"""What section [privacy] says, for the gate and in words. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

import hashlib
import json

from vipsync.model import PrivacySettings

GATE_VERSION = 4
"""Counts up when files that were inspected must be inspected anew; those who only ask read no formats."""


def fingerprint(policy: PrivacySettings) -> str:
    """Return what tells these settings from all others; the order of patterns of files changes nothing."""
    p = policy
    said = (p.accept, p.allow, sorted(p.plain), p.strict, p.off, p.must_read)
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def let_through(policy: PrivacySettings) -> str:
    """Return what a person lets through the gate, with the reasons; "" where nothing."""
    accepted = (f"accept {field}" for field, _ in policy.accept)  # a pattern may be a name
    allowed = (f"allow {field}: {reason}" for field, reason in policy.allow)
    plain = [f"plain: {', '.join(policy.plain)}"] if policy.plain else []
    off = [f"off: {policy.off}"] if policy.off else []
    return "; ".join((*accepted, *allowed, *plain, *off))
