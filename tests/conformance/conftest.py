"""What tests of conformance share: vip-client and vipsync, on one served VIP for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.sides import Side, both_tools


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Give both tools, each with an account on one VIP."""
    with both_tools(tmp_path_factory.mktemp("conformance")) as made:
        yield made
