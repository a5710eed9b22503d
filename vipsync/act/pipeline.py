"""Read a pipeline's definition; for a name that VIP does not know, say which one may be meant."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vipsync.errors import PipelineUnavailable, VipsyncError

if TYPE_CHECKING:
    from vipsync.client.vip_client import VipClient


def definition(client: VipClient, pipeline_id: str) -> dict[str, object]:
    """Return the descriptor of a pipeline; raise PipelineUnavailable with the nearest names."""
    try:
        return client.descriptor(pipeline_id)
    except PipelineUnavailable as error:
        near: list[str] = []
        with suppress(VipsyncError):  # the first error is the one that matters
            near = nearest(pipeline_id, (p.pipeline_id for p in client.pipelines()))
        raise PipelineUnavailable(
            f"This account has no pipeline {pipeline_id} on VIP (VIP's error {error.code}).",
            f"Did you mean {' or '.join(near)}? If not: {_inside(error.remedy)}"
            if near
            else error.remedy,
            code=error.code,
            status=error.status,
        ) from error


def _inside(sentence: str) -> str:
    """Return a sentence as it stands after a colon."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def nearest(pipeline_id: str, known: Iterable[str]) -> list[str]:
    """Return the pipelines that may be meant: another version first, else a name much like it."""
    every = sorted(known)
    plain = {each.lower(): each for each in reversed(every)}
    name = pipeline_id.lower().partition("/")[0]
    versions = [each for low, each in plain.items() if low.partition("/")[0] == name]
    close = get_close_matches(pipeline_id.lower(), plain, 1, 0.6)
    return sorted(versions, reverse=True)[:3] or [plain[low] for low in close]
