"""outputs/index.html: every case with its pictures, tables and logs. PURE: no I/O, no clock.

No script, no address outside, nothing of this machine but paths below outputs/. Names and contents
come from outside: they are escaped in `html`, and pictures are shown as pictures only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from msgspec import Struct

from vipsync.names import last
from vipsync.plan.standing import CaseState
from vipsync.results.facts import Description, Facts, Piece, Run, Shown
from vipsync.results.html import Html, address, element, joined
from vipsync.results.tables import Table
from vipsync.status.words import jobs_text, size, when

PICTURES = (".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp")
LARGEST_PICTURE = 20_000_000
"""Bytes above which a picture is only a link."""

FULL = 200
"""Cases that are shown with pictures; more are a list."""

_PICTURES_SHOWN = 8
_FILES_SHOWN = 12


class Seen(Struct, frozen=True):
    """What the page shows beside the facts: what is in each result, the ends of logs, tables, crates.

    `pending` are results that were not looked at yet. `thumbnails` is how a mosaic of this name is reached from the page.
    """

    written: float
    described: Mapping[Piece, Description] = {}
    pending: frozenset[Piece] = frozenset()
    logs: Mapping[str, str] = {}
    tables: tuple[str, ...] = ()
    crates: frozenset[str] = frozenset()
    thumbnails: Mapping[str, str] = {}
    hint: str = ""


def page(facts: Facts, seen: Seen) -> str:
    """Return the text of index.html."""
    body = element(
        "body",
        _head(facts, seen),
        element("main", *(_case(shown, seen) for shown in facts.shown[:FULL])),
        _rest(facts.shown[FULL:]),
        _runs(facts.runs, seen),
        element(
            "footer", f"Written {when(seen.written)} by vipsync. STATUS.txt says what is going on."
        ),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{facts.session}: results"),
        Html(f"<style>{_STYLE}</style>"),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _head(facts: Facts, seen: Seen) -> Html:
    links = [element("a", last(path), href=address(path)) for path in seen.tables]
    tables = element("p", "All cases in one table: ", *_separated(links)) if links else Html("")
    return element(
        "header",
        element("h1", f"{facts.session}: results"),
        element("p", _counts(facts.shown), class_="counts"),
        tables,
        element("p", seen.hint, class_="note") if seen.hint else Html(""),
        *_unpacked(facts.shown[:FULL]),
    )


def _unpacked(shown: Iterable[Shown]) -> Iterator[Html]:
    """Say once what a folder with the name of an archive is."""
    if any(piece.unpacked for one in shown for piece in one.pieces):
        words = ("Folders named after an archive, like ", element("code", "sub-01.tgz/"))
        yield element("p", *words, ", are its contents, already unpacked.", class_="note")


def _counts(shown: Iterable[Shown]) -> str:
    """Return how many cases are in which state, the good ones first."""
    states: dict[str, int] = {}
    for one in shown:
        if one.state:
            states[one.state] = states.get(one.state, 0) + 1
    order = sorted(states, key=lambda state: (state != CaseState.DONE, state))
    return ", ".join(f"{states[state]:,} {state}" for state in order) or "Results without cases."


def _separated(links: Iterable[Html]) -> Iterator[str]:
    for number, link in enumerate(links):
        yield from ((", ", link) if number else (link,))


# a case


def _case(shown: Shown, seen: Seen) -> Html:
    pictures = list(_pictures(shown, seen))[:_PICTURES_SHOWN]
    described = [(piece, seen.described.get(piece)) for piece in shown.pieces]
    tables = [_table(path, t) for _, found in described if found for path, t in found.tables]
    files = [_files(piece, found, seen) for piece, found in described]
    return element(
        "article",
        element("h2", shown.title, *_badge(shown)),
        *_lines(shown),
        *(_log(log, seen) for log in shown.logs),
        element("div", *pictures, class_="pictures") if pictures else Html(""),
        element("div", *tables, class_="tables") if tables else Html(""),
        *_undrawn(found for _, found in described),
        element("p", *_separated(files), class_="files") if files else Html(""),
        class_="wrong" if shown.went_wrong else "well",
    )


def _badge(shown: Shown) -> Iterator[Html]:
    if shown.state:
        yield Html(" ")
        yield element("span", shown.state, class_="state")


def _lines(shown: Shown) -> Iterator[Html]:
    if shown.reason:
        yield element("p", shown.reason, class_="reason")
    for path, sent in shown.sent_as:
        yield element("p", "On VIP: ", element("code", f"{path} → {sent}"), class_="note")


def _pictures(shown: Shown, seen: Seen) -> Iterator[Html]:
    for piece in shown.pieces:
        found = seen.described.get(piece)
        if found is None:
            continue
        for file in found.files:
            if file.path.lower().endswith(PICTURES) and file.size <= LARGEST_PICTURE:
                yield _figure(address(file.path), file.path, piece, shown)
        for volume, name in found.mosaics:
            if name in seen.thumbnails:
                yield _figure(seen.thumbnails[name], volume, piece, shown)


def _figure(source: str, path: str, piece: Piece, shown: Shown) -> Html:
    """Return a picture with the case that it is of, and the file."""
    name = _below(path, piece.local) if piece.unpacked else last(path)
    words = name if name == shown.title else f"{shown.title}: {name}"
    image = element("img", src=source, alt=words, loading="lazy", decoding="async")
    case = element("strong", shown.title)
    told = (case,) if name == shown.title else (case, " ", name)
    return element("figure", element("a", image, href=address(path)), element("figcaption", *told))


def _undrawn(described: Iterable[Description | None]) -> Iterator[Html]:
    paths = [path for found in described if found for path in found.undrawn]
    if paths:
        names = _separated(element("a", last(path), href=address(path)) for path in paths)
        why = ": no picture, as it holds neither slices nor a spectrum that can be drawn"
        yield element("p", *names, why, class_="note")


def _table(path: str, table: Table) -> Html:
    head = element("tr", *(element("th", column, scope="col") for column in table.columns))
    rows = [element("tr", *(element("td", cell) for cell in row)) for row in table.rows]
    more = f", the first {len(rows)} rows" if table.more else ""
    inside = element("table", element("thead", head), element("tbody", *rows))
    return element(
        "details",
        element("summary", f"{last(path)}{more}"),
        element("div", inside, class_="scroll", tabindex="0", role="region", aria_label=last(path)),
        **({} if len(rows) > _FEW else {"open": "open"}),
    )


def _log(log: str, seen: Seen) -> Html:
    """Return the end of what a failed job has said, the stream with more to say last."""
    parts = [
        joined(
            element("p", element("a", last(path), href=address(path)), class_="note"),
            element("pre", seen.logs[path], tabindex="0"),
        )
        for path in (f"{log}.stdout.txt", f"{log}.stderr.txt")
        if seen.logs.get(path)
    ]
    return element("div", *parts, class_="log") if parts else Html("")


def _files(piece: Piece, found: Description | None, seen: Seen) -> Html:
    if found is None:
        late = piece in seen.pending
        what = "is shown here soon" if late else "is not as it came: it was changed on this machine"
        return element("span", _link(piece.local), f" {what}")
    if not piece.unpacked:
        return element("span", _link(piece.local), f" ({size(_sum(found))})")
    inside = sorted(found.files, key=lambda f: (not f.path.lower().endswith(".pdf"), f.path))
    names = [_link(f.path, below=piece.local) for f in inside[:_FILES_SHOWN]]
    more = f" and {len(inside) - _FILES_SHOWN:,} more" if len(inside) > _FILES_SHOWN else ""
    folder = element("a", f"{last(piece.local)}/", href=address(f"{piece.local}/"))
    told = f" ({len(inside):,} files, {size(_sum(found))}: "
    return element("span", folder, told, *_separated(names), f"{more})")


def _sum(found: Description) -> int:
    return sum(file.size for file in found.files)


def _link(path: str, below: str = "") -> Html:
    return element("a", _below(path, below) if below else last(path), href=address(path))


def _below(path: str, folder: str) -> str:
    return str(PurePosixPath(path).relative_to(folder))


# beside the cases


def _rest(shown: tuple[Shown, ...]) -> Html:
    if not shown:
        return Html("")
    items = (
        element("li", element("a", s.title, href=address(f"{s.folder}/")), f" {s.state}")
        for s in shown
    )
    summary = element("summary", f"{len(shown):,} more")
    return element("section", element("details", summary, element("ul", *items)))


def _runs(runs: Iterable[Run], seen: Seen) -> Html:
    rows = [element("tr", *_run(run, seen)) for run in reversed(tuple(runs))]
    if not rows:
        return Html("")
    names = ("execution", "started", "pipeline", "status", "jobs", "results", "where from")
    head = element("tr", *(element("th", name, scope="col") for name in names))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element(
        "section",
        element("h2", "Executions"),
        element(
            "div", table, class_="scroll", tabindex="0", role="region", aria_label="Executions"
        ),
    )


def _run(run: Run, seen: Seen) -> Iterator[Html]:
    execution = run.execution
    jobs: dict[str, int] = {}
    for job in execution.jobs:
        jobs[str(job.state)] = jobs.get(str(job.state), 0) + 1
    yield element("td", execution.id)
    yield element("td", when(execution.started) if execution.started else "")
    yield element("td", execution.pipeline_id)
    yield element("td", str(execution.status))
    yield element("td", jobs_text(jobs))
    yield element("td", element("a", f"{run.folder}/", href=address(f"{run.folder}/")))
    crate = f"{run.folder}/ro-crate-metadata.json"
    told = element("a", "provenance", href=address(crate))
    yield element("td", told if run.folder in seen.crates else "")


# how it looks


_FEW = 12
"""Rows of a table that is shown at once."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #52606f; --paper: #f5f7f9; --card: #fff;
  --line: #d5dce3; --link: #0b5cad; --good: #1a6b3c; --bad: #a8261b; --tint: #eef2f6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --soft: #a5b1be; --paper: #12171d;
  --card: #1b222a; --line: #364250; --link: #7cb8f5; --good: #7ed29b; --bad: #ff9d91; --tint: #242d37; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: 0 0 .5rem; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--link);
  outline-offset: 2px; }
.counts { font-size: 1.1rem; }
.note, .files, figcaption, footer { color: var(--soft); font-size: .9rem; }
article, section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  margin: 1rem 0; padding: 1rem; }
article { border-left: .35rem solid var(--good); }
article.wrong { border-left-color: var(--bad); }
.state { border: 1px solid; border-radius: 1rem; color: var(--good); font-size: .8rem;
  font-weight: 400; margin-left: .6rem; padding: .1rem .6rem; }
.wrong .state, .wrong .reason { color: var(--bad); }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; margin: .75rem 0; }
figure { flex: 1 1 20rem; margin: 0; max-width: 36rem; }
figure img { background: #fff; border: 1px solid var(--line); border-radius: .25rem; display: block;
  height: auto; max-height: 26rem; max-width: 100%; object-fit: contain; width: 100%; }
pre { background: var(--tint); border-radius: .25rem; font-size: .82rem; margin: 0 0 .75rem;
  max-height: 24rem; overflow: auto; padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.tables { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: .5rem 0; }
details { max-width: 100%; }
summary { cursor: pointer; padding: .2rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left;
  white-space: nowrap; }
footer { margin-top: 1.5rem; }
"""

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; img-src 'self' file: data:; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'"
)
