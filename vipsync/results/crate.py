"""Where results came from, as a Process Run Crate (RO-Crate 1.1). PURE: no I/O, no clock.

One crate for each results folder. An input is named by its hash, wherever it lies, with its path
below inputs/ and its place on VIP; nothing in a crate is a path of this machine.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from mimetypes import guess_type
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from vipsync.model import Descriptor, ExecutionStatus, Job, JobState, moment
from vipsync.names import last
from vipsync.plan.standing import CaseState, outcome
from vipsync.results.facts import Description, Facts, Piece, Run
from vipsync.results.html import visible
from vipsync.results.invocations import descriptor_of, invocation, runnable, values_of
from vipsync.rows import Launch, LaunchedCase

METADATA = "ro-crate-metadata.json"
DESCRIPTOR = "descriptor.json"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
CRATE = "https://w3id.org/ro/crate/1.1"
TERMS = "https://w3id.org/ro/terms/workflow-run"
PAPER = "https://doi.org/10.1109/TMI.2012.2220154"

Entity = dict[str, Any]


class Crate(Struct, frozen=True):
    """What is written into a results folder, by name: `metadata` last, the others stay as they are."""

    metadata: str
    others: Mapping[str, str] = {}


def crate(
    facts: Facts,
    runs: list[Run],
    described: Mapping[Piece, Description],
    taken: frozenset[str] = frozenset(),
) -> Crate:
    """Return the crate of one results folder; executions that share one share its crate.

    `taken` are names that a result or a person has: files of the crate are called otherwise then.
    """
    made = _Making(facts, runs, described, taken)
    graph = made.graph()
    context = [f"{CRATE}/context", f"{TERMS}/context"]
    text = json.dumps({"@context": context, "@graph": graph}, indent=1, ensure_ascii=False)
    return Crate(f"{text}\n", made.others)


class _Making:
    """The entities of one crate, each once, in the order in which they are met."""

    def __init__(
        self,
        facts: Facts,
        runs: list[Run],
        described: Mapping[Piece, Description],
        taken: frozenset[str],
    ) -> None:
        self._facts, self._runs, self._described = facts, runs, described
        self._taken = taken
        self._entities: dict[str, Entity] = {}
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        self._parts: list[str] = []
        self._actions: list[str] = []
        self._properties: list[str] = []
        self.others: dict[str, str] = {}

    def graph(self) -> list[Entity]:
        """Return all entities, the two that a crate begins with first."""
        from importlib.metadata import version  # it takes as long to load as all of this room

        for run in self._runs:
            self._run(run)
        return [
            {
                "@id": METADATA,
                "@type": "CreativeWork",
                "conformsTo": {"@id": CRATE},
                "about": {"@id": "./"},
            },
            self._root(),
            *_FIXED,
            {
                "@id": "#vipsync",
                "@type": "PropertyValue",
                "name": "version of vipsync",
                "value": version("vipsync"),
            },
            *self._entities.values(),
        ]

    def _root(self) -> Entity:
        first = self._runs[0]
        return {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Results of {first.execution.pipeline_id} in the session {self._facts.session}",
            "description": f"What {first.execution.pipeline_id} made on VIP, with what it was made from.",
            "datePublished": _time(max(_ended(run) for run in self._runs)),
            "license": {"@id": "#license"},
            "conformsTo": {"@id": PROFILE},
            "citation": {"@id": PAPER},
            "publisher": {"@id": "https://vip.creatis.insa-lyon.fr"},
            "hasPart": _refs(self._parts),
            "mentions": _refs(self._actions),
            "additionalProperty": _refs(["#vipsync", *self._properties]),
        }

    def _add(self, entity: Entity) -> str:
        id_: str = entity["@id"]
        self._entities.setdefault(id_, entity)
        return id_

    # one execution

    def _run(self, run: Run) -> None:
        tool = self._tool(run)
        self._properties += self._gate(run)
        descriptor = descriptor_of(run.descriptor, run.execution.pipeline_id)
        of_piece = {piece: self._results(piece, run) for piece in run.pieces}
        cases = run.launch.cases if run.launch else ()
        if run.launch is None or not cases:
            everything = [id_ for ids in of_piece.values() for id_ in ids]
            self._action(run, tool, None, everything, descriptor)
            return
        whole = len(cases) == 1
        for case, pieces in zip(cases, run.of_cases, strict=True):
            mine = run.pieces if whole else pieces
            ids = [id_ for piece in mine for id_ in of_piece.get(piece, ())]
            self._action(run, tool, case, ids, descriptor)
        known = {job.number for case in cases for job in _jobs(run, case)}
        others = [job for job in run.execution.jobs if job.number not in known]
        self._properties += self._exit_codes(run.execution.id, others)

    def _tool(self, run: Run) -> str:
        raw = _document(run.descriptor)
        id_ = f"{self._facts.portal}/rest/pipelines/{quote(run.execution.pipeline_id)}"
        tool = {
            "@id": id_,
            "@type": "SoftwareApplication",
            "name": str(raw.get("name") or run.execution.pipeline_id.partition("/")[0]),
            "softwareVersion": str(
                raw.get("tool-version") or run.execution.pipeline_id.rpartition("/")[2]
            ),
            "url": {"@id": self._facts.portal},
            "identifier": run.execution.pipeline_id,
        }
        if raw:
            told = self._part(DESCRIPTOR, runnable(run.descriptor), "The pipeline, for Boutiques")
            tool["subjectOf"] = {"@id": told}
        if raw.get("description"):
            tool["description"] = str(raw["description"])
        return self._add(tool)

    def _part(self, name: str, text: str, title: str) -> str:
        """Add a file that is written beside the metadata; return its name."""
        name = f"vipsync-{name}" if name in self._taken else name
        if name not in self.others:
            self.others[name] = text
            self._parts.append(name)
            self._add(
                {
                    "@id": name,
                    "@type": "File",
                    "name": title,
                    "encodingFormat": "application/json",
                    "contentSize": str(len(text.encode())),
                    "sha256": _sha256(text),
                }
            )
        return name

    # one case

    def _action(
        self,
        run: Run,
        tool: str,
        case: LaunchedCase | None,
        results: list[str],
        descriptor: Descriptor | None,
    ) -> None:
        execution, number = run.execution, len(self._actions) + 1
        jobs = _jobs(run, case)
        of = f" of {case.id}" if case else ""
        action: Entity = {
            "@id": f"#{execution.id}-{number}",
            "@type": "CreateAction",
            "name": f"{execution.pipeline_id}{of}",
            "description": f"Run on VIP as {execution.id}{of}, which ended as {execution.status}.",
            "identifier": execution.id,
            "instrument": {"@id": tool},
            "object": _refs(self._inputs(run, case, descriptor)),
            "actionStatus": f"http://schema.org/{_status(run, case)}",
            "endTime": _time(_ended(run)),
        }
        if execution.started:
            action["startTime"] = _time(execution.started)
        if results:
            action["result"] = _refs(results)
        if jobs:
            action["additionalProperty"] = _refs(self._exit_codes(execution.id, jobs))
        if image := self._image(run):
            action["containerImage"] = {"@id": image}
        if errors := _errors(run, case):
            action["error"] = errors
        self._actions.append(self._add(action))

    def _gate(self, run: Run) -> Iterator[str]:
        """Tell which privacy gate there was, and what a person let through it, with the reason."""
        if run.launch and run.launch.privacy is not None:
            yield self._add(
                {
                    "@id": f"#{run.execution.id}-privacy",
                    "@type": "PropertyValue",
                    "name": "privacy gate of vipsync",
                    "value": self._facts.gate or "off",
                    "description": run.launch.privacy or "nothing was let through",
                }
            )

    def _exit_codes(self, execution_id: str, jobs: Iterable[Job]) -> Iterator[str]:
        for job in jobs:
            yield self._add(
                {
                    "@id": f"#{execution_id}-job-{job.number}",
                    "@type": "PropertyValue",
                    "name": f"exit code of job {job.number}",
                    "value": job.exit_code,
                    "description": job.status,
                }
            )

    def _image(self, run: Run) -> str:
        image = _document(run.descriptor).get("container-image")
        if not isinstance(image, dict) or not isinstance(image.get("image"), str):
            return ""
        registry, _, name = image["image"].rpartition("/")
        name, _, tag = name.partition(":")
        server, _, folder = registry.partition("/")
        kind = "SIFImage" if image.get("type") == "singularity" else "DockerImage"
        return self._add(
            {
                "@id": f"#image-{quote(image['image'], safe='')}",
                "@type": "ContainerImage",
                "additionalType": {"@id": f"{TERMS}#{kind}"},
                "name": f"{folder}/{name}" if folder else name,
                **({"registry": server} if server else {}),
                **({"tag": tag} if tag else {}),
            }
        )

    def _inputs(
        self, run: Run, case: LaunchedCase | None, descriptor: Descriptor | None
    ) -> Iterator[str]:
        if run.launch is None:
            return
        yield from self._files(run.launch, case)
        for name, values in sorted(_given(run.launch, case).items()):
            yield from self._values(run, name, values)
        if descriptor:
            yield from self._invocations(run, run.launch, case, descriptor)

    def _files(self, launch: Launch, case: LaunchedCase | None) -> Iterator[str]:
        """Yield the inputs whose content is known, by their paths below inputs/."""
        own = case.own if case else ()
        sent = self._facts.sent
        places = {sent[v]: v for values in launch.values.values() for v in values if v in sent}
        for path, sha256 in (*own, *launch.shared):
            if sha256:
                yield self._input(sha256, path, places.get(sha256, ""))

    def _input(self, sha256: str, path: str, vip: str) -> str:
        """Add an input by its content; equal files are one, with all their names."""
        id_ = _named_by_content(sha256)
        names = sorted({*self._names[id_], path})
        self._names[id_] = names
        self._entities[id_] = {
            "@id": id_,
            "@type": "File",
            "name": last(names[0]),
            "alternateName": names[0] if len(names) == 1 else names,
            "encodingFormat": guess_type(path)[0] or "application/octet-stream",
            "sha256": sha256,
            **({"identifier": vip} if vip else {}),
        }
        self._parts.append(id_)
        return id_

    def _values(self, run: Run, name: str, values: tuple[str, ...]) -> Iterator[str]:
        for value in values:
            sha256 = self._facts.sent.get(value, "")
            if value.startswith("/vip/") and sha256:
                if _named_by_content(sha256) not in self._entities:
                    yield self._input(sha256, last(value), value)
            else:
                yield self._add(
                    {
                        "@id": f"#{run.execution.id}-{name}-{quote(value, safe='')}",
                        "@type": "PropertyValue",
                        "name": name,
                        "value": value,
                    }
                )

    def _invocations(
        self, run: Run, launch: Launch, case: LaunchedCase | None, descriptor: Descriptor
    ) -> Iterator[str]:
        jobs = values_of(launch, case, descriptor)
        alone = len(self._runs) == 1 and len(launch.cases) <= 1 and len(jobs) == 1
        before = sum(name.startswith(f"invocations/{run.execution.id}-") for name in self.others)
        for number, values in enumerate(jobs, before + 1):
            name = "invocation.json" if alone else f"invocations/{run.execution.id}-{number}.json"
            yield self._part(
                name, invocation(values, descriptor), "The values of one job, for bosh"
            )

    # results

    def _results(self, piece: Piece, run: Run) -> list[str]:
        found = self._described.get(piece)
        if found is None:
            return []
        return [self._result(file.path, file.size, file.sha256, run) for file in found.files]

    def _result(self, path: str, size: int, sha256: str, run: Run) -> str:
        inside = path.removeprefix(f"{run.folder}/")
        # A result that VIP keeps elsewhere lies beside the crate's folder, and cannot be a part of it.
        id_ = quote(inside) if inside != path else _named_by_content(sha256)
        kind = guess_type(path)[0] or "application/octet-stream"
        entity = {
            "@id": id_,
            "@type": "File",
            "name": visible(last(path)),
            "contentSize": str(size),
            "sha256": sha256,
            "encodingFormat": kind,
        }
        if id_ not in self._entities:
            self._parts.append(id_)
        return self._add(entity)


def _given(launch: Launch, case: LaunchedCase | None) -> Mapping[str, tuple[str, ...]]:
    own = {name: (value,) for name, value in case.values.items()} if case else {}
    return {**launch.values, **own}


def _named_by_content(sha256: str) -> str:
    """Return the URI that names a content by its hash, wherever it lies (RFC 6920)."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return f"ni:///sha-256;{digest}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _document(raw: str) -> dict[str, Any]:
    try:
        document = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _refs(ids: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": id_} for id_ in dict.fromkeys(ids)]


def _jobs(run: Run, case: LaunchedCase | None) -> list[Job]:
    """Return the jobs of a case, as far as VIP says which they are (facts 5.4)."""
    alone = case is None or run.launch is None or len(run.launch.cases) == 1
    return [job for job in run.execution.jobs if alone or (case and case.job == job.number)]


def _status(run: Run, case: LaunchedCase | None) -> str:
    """Return how it ended: VIP calls an execution finished of which one job went well (facts 5.8)."""
    if case and run.launch:
        good = outcome(case, run.launch, run.execution).state is CaseState.DONE
    else:
        every = all(job.state is JobState.DONE for job in run.execution.jobs)
        good = run.execution.status is ExecutionStatus.FINISHED and every
    return "CompletedActionStatus" if good else "FailedActionStatus"


def _errors(run: Run, case: LaunchedCase | None) -> str:
    """Return what VIP says of the jobs that failed; of several, one may be the case's own."""
    if _status(run, case) == "CompletedActionStatus":
        return ""
    jobs = _jobs(run, case) or run.execution.jobs
    failed = (j for j in jobs if j.state is JobState.FAILED and j.exit_message)
    return "; ".join(sorted({f"exit code {j.exit_code}: {j.exit_message}" for j in failed}))


def _ended(run: Run) -> float:
    return run.execution.ended_at or run.execution.changed_at


def _time(seconds: float) -> str:
    return moment(seconds, UTC).isoformat(timespec="seconds")


_FIXED: tuple[Entity, ...] = (
    {
        "@id": PROFILE,
        "@type": "CreativeWork",
        "name": "Process Run Crate",
        "version": "0.5",
    },
    {
        "@id": "#license",
        "@type": "CreativeWork",
        "name": "Not stated",
        "description": "Those whose data these are decide how they may be used.",
    },
    {
        "@id": "https://vip.creatis.insa-lyon.fr",
        "@type": "Organization",
        "name": "Virtual Imaging Platform",
        "url": "https://vip.creatis.insa-lyon.fr",
    },
    {
        "@id": PAPER,
        "@type": "ScholarlyArticle",
        "name": "A Virtual Imaging Platform for multi-modality medical image simulation",
        "author": "T. Glatard et al.",
        "datePublished": "2013",
        "isPartOf": "IEEE Transactions on Medical Imaging 32, 110-118",
    },
)
