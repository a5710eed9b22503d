"""How this VIP behaves: every knob, with quick defaults and those of the real server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

DEFAULT_KEY = "local"


class Level(StrEnum):
    """What an account may do; only a beginner may do less than the others here."""

    BEGINNER = "Beginner"
    ADVANCED = "Advanced"
    DEVELOPER = "Developer"
    ADMINISTRATOR = "Administrator"


@dataclass(frozen=True)
class User:
    """One account: its folder under the users' home, its groups, its level, its own quota if it has one."""

    name: str = "Local User"
    folder: str = "local_user"
    groups: tuple[str, ...] = ("EGI",)
    email: str = "local@localhost"
    password: str = field(default="local", repr=False)
    level: Level = Level.ADVANCED
    limit: int | None = None


@dataclass(frozen=True)
class Options:
    """The knobs of facts 10; times are seconds, sizes bytes."""

    users: Mapping[str, User] = field(
        default_factory=lambda: MappingProxyType({DEFAULT_KEY: User()}), repr=False
    )
    groups: tuple[str, ...] = ("EGI",)
    rights: Mapping[str, tuple[str, ...]] | None = None
    """Which pipelines each group has; None: everybody may use all."""
    pipelines: tuple[Path, ...] = ()
    transfer_delay: float = 0.0
    transfer_poll: float = 0.0
    transfer_timeout: float = 45.0
    removal_delay: float = 0.0
    max_direct_transfer: int = 10 * 2**30
    file_dates: bool = False
    list_limit: int = 500
    quota_user: int = 100
    quota_platform: int = 1000
    startup_delay: float = 0.2
    submit_delay: float = 0.0
    job_poll: float = 0.0
    output_lag: float = 0.0
    max_jobs: int = 1000
    overwrite_outputs: bool = False
    job_slots: int = 2
    zone: tzinfo | None = None

    @classmethod
    def faithful(cls) -> Options:
        """Return the waiting times and limits of the real server (facts 10)."""
        return replace(
            cls(),
            transfer_poll=2.0,
            removal_delay=3.0,
            max_direct_transfer=15_000_000,
            quota_user=1,
            quota_platform=35,
            startup_delay=5.0,
            submit_delay=4.0,
            job_poll=20.0,
            output_lag=10.0,
        )
