"""The right end of a story, whatever the weather was. PURE: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from functools import lru_cache

from tests.lab.archives import tgz
from tests.soak.story import Edit, Fate, Folder, Signal, Story

DONE, NOT_DONE = "done", "not done"
MY_WORDS = b"my own words"
"""What a person writes into a result."""


@dataclass(frozen=True)
class End:
    """What there is in the end: executions and cases by text, files by path and content.

    `outputs` lie here, `kept` on VIP; what differs from life to life is left out of their paths.
    """

    started: Counter[str]
    cases: Counter[tuple[str, str]]
    outputs: Counter[tuple[str, bytes]]
    kept: Counter[tuple[str, bytes]]

    def difference(self, right: End) -> str:
        """Say in what this end is not the right one; nothing where they are equal."""
        for part in fields(self):
            is_, should = getattr(self, part.name), getattr(right, part.name)
            if is_ != should:
                return f"{part.name}: {dict(is_ - should)} in place of {dict(should - is_)}"
        return ""


@lru_cache(maxsize=1024)
def archive(text: str) -> bytes:
    """Return the result of a signal: the same bytes whenever it is made."""
    return tgz({"fit.txt": text.encode()})


def right_end(story: Story) -> End:
    """Return the only end that is right."""
    end = End(Counter(), Counter(), Counter(), Counter())
    for folder in story.folders:
        runs = folder.settings.runs
        for signal in folder.signals:
            end.started[signal.text] = runs
            end.cases[signal.text, DONE if signal.fate is Fate.WELL else NOT_DONE] = runs
            if signal.fate is Fate.WELL:
                _add_results(end, folder, signal)
            elif signal.fate is Fate.FAILS:
                end.outputs[f"{folder.name}/TIME/logs/job.stdout.txt", b"done\n"] += runs
    return end


def _add_results(end: End, folder: Folder, signal: Signal) -> None:
    settings, name = folder.settings, f"TIME/{signal.name}.mrui.tgz"
    whole = archive(signal.text)
    path = f"{folder.name}/{name}/fit.txt" if settings.unzip else f"{folder.name}/{name}"
    edited = sum(isinstance(e, Edit) and e.signal == signal for e in folder.events)
    content = signal.text.encode() if settings.unzip else whole
    end.outputs[path, content] += settings.runs - edited
    if edited:
        end.outputs[path, MY_WORDS] += edited
    if settings.unzip and settings.keep_archive:
        end.outputs[f"{folder.name}/.archives/{name}", whole] += settings.runs
    if settings.keep_output:
        end.kept[f"OUTPUTS/{name}", whole] += settings.runs
