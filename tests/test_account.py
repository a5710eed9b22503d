"""Where a script's key comes from, and who works under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.scripts import OTHER_KEY
from vipsync.errors import KeyMissing, PropertyError
from vipsync.script.account import found_key, shared_workers


def test_a_key_is_a_file_a_variable_or_itself(tmp_path: Path) -> None:
    """In this order; blanks around it do not count."""
    (tmp_path / "key").write_text(f"{OTHER_KEY}\n")
    environ = {"MY_KEY": f" {OTHER_KEY} ", "other": OTHER_KEY}
    sources = (tmp_path / "key", str(tmp_path / "key"), "MY_KEY", "other", OTHER_KEY)
    assert {found_key(s, environ).reveal() for s in sources} == {OTHER_KEY}


def test_the_name_of_a_variable_that_is_not_set_is_no_key() -> None:
    """It is never sent to VIP as if it were one."""
    with pytest.raises(KeyMissing, match="LAB_KEY is not set"):
        found_key("LAB_KEY", {})


@pytest.mark.parametrize("value", [None, 3, ["key"]])
def test_what_is_no_text_is_no_key(value: object) -> None:
    """The error does not repeat it."""
    with pytest.raises(PropertyError) as caught:
        found_key(value, {})
    assert str(value) not in str(caught.value)


def test_a_key_file_without_a_key_is_said(tmp_path: Path) -> None:
    """Its content is not repeated."""
    (tmp_path / "key").write_bytes(b"\xff\x00secret")
    with pytest.raises(ValueError, match="it is no text") as caught:
        found_key(tmp_path / "key", {})
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


def test_a_key_is_never_shown() -> None:
    """Neither by itself nor in an error."""
    assert OTHER_KEY not in repr(found_key(OTHER_KEY, {}))
    assert found_key("x" * 5000, {}).reveal() == "x" * 5000


def test_all_accounts_share_the_same_threads() -> None:
    """Eight transfers at most run at a time, whatever a process does."""
    assert shared_workers() is shared_workers()
