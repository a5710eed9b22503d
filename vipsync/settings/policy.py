"""What section [privacy] says, for the gate and in words. Pure: no os, time, random, httpx, sqlite3 or logging."""

from __future__ import annotations

from vipsync.model import PrivacySettings
from vipsync.privacy.policy import PrivacyPolicy


def policy_of(settings: PrivacySettings) -> PrivacyPolicy:
    """Return the policy by which the gate judges."""
    plain = tuple(sorted(settings.plain))
    return PrivacyPolicy(
        settings.accept,
        settings.allow,
        plain,
        settings.strict,
        settings.off,
        settings.must_read,
    )


def let_through(settings: PrivacySettings) -> str:
    """Return what a person lets through the gate, with the reasons; "" where nothing."""
    accepted = (f"accept {field}" for field, _ in settings.accept)  # a pattern may be a name
    allowed = (f"allow {field}: {reason}" for field, reason in settings.allow)
    plain = [f"plain: {', '.join(settings.plain)}"] if settings.plain else []
    off = [f"off: {settings.off}"] if settings.off else []
    return "; ".join((*accepted, *allowed, *plain, *off))
