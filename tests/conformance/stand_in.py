"""A pytest plugin for vip-client's own tests: `vip_client.VipSession` is vipsync's, and VIP is there.

Those tests fake what vip-client is made of (`vip_client.utils.vip`, its `_exists`, the files that it
opens). Here nothing is faked: the pipelines, the account and the files that they pretend are real,
on an embedded VIP that the caller serves at VIP_PORTAL_URL. Loaded by `-p tests.conformance.stand_in`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

import vipsync
from tests.conformance.sides import as_before

HERE = (
    *(f"fake_value{i}" for i in range(1, 6)),
    *(f"different_value{i}" for i in range(1, 6)),
    "path/on/host/input.zip",
    "path/on/host/fake_value",
)
"""The files that they say are there."""


class VipSession(vipsync.VipSession):
    """vipsync's class, and the four internals of vip-client's that its tests call or patch."""

    def _exists(self, *_path: object, **_where: object) -> bool:
        raise AssertionError("only patched, never called")

    def _is_defined(self, name: str) -> bool:
        return getattr(self, name, None) is not None

    def _save(self, *state: Any) -> bool:  # type: ignore[override]
        super()._save(*state)
        return self._load()

    def _load(self) -> bool:
        return Path(self.output_dir or "", "session_data.json").is_file()


class Absent:
    """VipLauncher and VipGirder stay vip-client's: their tests are not run."""

    @classmethod
    def init(cls, **_arguments: object) -> None:
        """Do nothing."""


class Mocker:
    """Takes every `mocker.patch(...)` and does none: what it would fake is really there."""

    patch = MagicMock()


@pytest.fixture
def mocker() -> Mocker:
    """Stand in for pytest-mock's fixture."""
    return Mocker()


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a folder of its own with the files in it; the data set is `path/`."""
    for name in HERE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "test-VipSession").mkdir()
    (tmp_path / "test-VipSession/in").symlink_to(tmp_path / "path")
    monkeypatch.chdir(tmp_path)
    with as_before(*(cls for cls in VipSession.__mro__ if cls is not object)):
        yield


def _module() -> ModuleType:
    module = ModuleType("vip_client")
    vars(module).update(VipSession=VipSession, VipLauncher=Absent, VipGirder=Absent)
    return module


sys.modules["vip_client"] = _module()
