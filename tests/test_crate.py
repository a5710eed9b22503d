"""Where results came from: crates that other tools read, with true hashes, and jobs that can be run again."""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from rocrate.rocrate import ROCrate

from tests.lab.archives import tgz
from tests.lab.bench import SETTINGS, Bench, Study
from tests.lab.findings import findings
from tests.lab.pipelines import written
from vipsync.local import Job
from vipsync.model import VipPath
from vipsync.results.crate import CRATE, METADATA, PROFILE, TERMS
from vipsync.results.gallery import Gallery
from vipsync.results.invocations import descriptor_of, invocation, runnable, values_of
from vipsync.rows import Launch
from vipsync.status.publish import Publisher

Entity = dict[str, Any]

NAMES = """
    about actionStatus additionalProperty additionalType alternateName author citation contentSize
    datePublished description encodingFormat endTime error hasPart identifier instrument isPartOf license
    mentions name object publisher result softwareVersion startTime subjectOf url value version
    CreateAction CreativeWork Dataset Organization PropertyValue ScholarlyArticle SoftwareApplication
"""
"""What both contexts take from schema.org under its own name."""

OTHERS = {
    "File": "http://schema.org/MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    **{
        name: f"{TERMS}#{name}"
        for name in ("ContainerImage", "containerImage", "registry", "sha256", "tag")
    },
}


def crates(study: Study) -> list[Path]:
    """Return the folders of results that have a crate, oldest first."""
    return sorted(path.parent for path in (study.root / "outputs").glob(f"*/{METADATA}"))


def entities(folder: Path) -> dict[str, Entity]:
    """Return what a crate tells of, by id."""
    document = json.loads((folder / METADATA).read_text("utf-8"))
    return {entity["@id"]: entity for entity in document["@graph"]}


def actions(folder: Path) -> dict[str, Entity]:
    """Return the runs that a crate tells of, by name."""
    found = entities(folder).values()
    return {e["name"]: e for e in found if e["@type"] == "CreateAction"}


def one(study: Study) -> Path:
    """Return the only folder of results."""
    (folder,) = crates(study)
    return folder


@pytest.fixture
def study(bench: Bench) -> Study:
    """Return a session of which three signals were analysed, and two were none."""
    made = findings(bench, volumes=False)
    bench.rest()
    return made


def test_rocrate_reads_a_crate_in_which_every_hash_is_true(study: Study) -> None:
    """Of the results, of the inputs as they lie here, and of what is beside the metadata."""
    folder = one(study)
    read = ROCrate(folder)
    assert read.root_dataset["conformsTo"].id == PROFILE
    sums = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (study.root / "inputs").iterdir()}
    told = set()
    for part in read.root_dataset["hasPart"]:
        if part.id.startswith("ni:"):
            assert part["sha256"] in sums
            told.add(part["sha256"])
        else:
            path = folder / unquote(part.id)
            assert hashlib.sha256(path.read_bytes()).hexdigest() == part["sha256"]
            assert int(part["contentSize"]) == path.stat().st_size
    assert told == sums
    listed = {unquote(part.id) for part in read.root_dataset["hasPart"]}
    here = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {n for n in here if not n.startswith("logs/")} - {METADATA} == {
        n for n in listed if not n.startswith("ni:")
    }


def test_each_case_says_what_it_was_made_from(study: Study) -> None:
    """Its own and the shared file with their paths here and on VIP, its parameters, its results."""
    folder = one(study)
    known, runs = entities(folder), actions(folder)
    assert sorted(runs) == [
        f"fit/1 of {name}.mrui" for name in ("sub-01", "sub-02", "sub-05", "sub-06", "été 1")
    ]
    run = runs["fit/1 of été 1.mrui"]
    used = [known[ref["@id"]] for ref in run["object"]]
    files = {e["alternateName"]: e["identifier"] for e in used if "alternateName" in e}
    assert files == {
        "été 1.mrui": "/vip/Home/API/study/INPUTS/ete_1.mrui",
        "basis.zip": "/vip/Home/API/study/INPUTS/basis.zip",
    }
    given = {e["name"]: e["value"] for e in used if e["@type"] == "PropertyValue"}
    assert given == {"broadening": "2.5"}
    assert {ref["@id"] for ref in run["result"]} == {
        "ete_1.mrui.tgz/peaks.csv",
        "ete_1.mrui.tgz/spectrum.svg",
        "ete_1.mrui.pdf",
        "ete_1.mrui.table",
    }
    assert known[run["containerImage"]["@id"]]["tag"] == "1.0"
    assert known[run["instrument"]["@id"]]["softwareVersion"] == "1"


def test_a_case_that_failed_says_so_and_why(study: Study) -> None:
    """Also in an execution that VIP calls finished."""
    runs = actions(one(study))
    ends = {name: run["actionStatus"].rpartition("/")[2] for name, run in runs.items()}
    assert ends["fit/1 of sub-01.mrui"] == "CompletedActionStatus"
    assert ends["fit/1 of sub-05.mrui"] == "FailedActionStatus"
    assert "error" not in runs["fit/1 of sub-01.mrui"]
    assert runs["fit/1 of sub-05.mrui"]["error"].startswith("exit code 50")
    assert "result" not in runs["fit/1 of sub-05.mrui"]


def test_every_exit_code_is_told(study: Study) -> None:
    """Also where VIP does not say which case a job was of."""
    known = entities(one(study))
    told = [known[ref["@id"]] for ref in known["./"]["additionalProperty"]]
    codes = {e["name"]: e["value"] for e in told if "exit code" in e["name"]}
    assert sorted(codes) == [f"exit code of job {n}" for n in range(1, 6)]
    assert sorted(codes.values()) == [0, 0, 0, 50, 50]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the validator's own
def test_a_crate_fulfils_what_its_profile_requires(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is required, and what is recommended but for an agent and an author, whom nobody may know."""
    reason = "rocrate-validator is not installed: pip install roc-validator"
    validator = pytest.importorskip("rocrate_validator.services", reason=reason)
    models = pytest.importorskip("rocrate_validator.models", reason=reason)
    pytest.importorskip("rocrate_validator.utils.log").basicConfig(logging.CRITICAL)
    serve_contexts(monkeypatch)
    assert terms_of(one(study)) <= {*NAMES.split(), *OTHERS}  # another name would not be looked at
    settings = validator.ValidationSettings(
        rocrate_uri=str(one(study)),
        profile_identifier="process-run-crate",
        requirement_severity=models.Severity.RECOMMENDED,
    )
    issues = validator.validate(settings).get_issues()
    assert [i.message for i in issues if i.severity is models.Severity.REQUIRED] == []
    expected = {"Action agent", "Action result", "Root Data Entity: `author` property"}
    others = [
        i for i in issues if i.check.name not in expected and "scheme 'ni'" not in str(i.message)
    ]
    assert [i.message for i in others] == []


def terms_of(folder: Path) -> set[str]:
    """Return the names that a crate takes from its contexts."""
    found: set[str] = set()
    for entity in entities(folder).values():
        found |= {name for name in entity if not name.startswith("@")} | {entity["@type"]}
    return found


def serve_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the validator find both contexts without a network: as far as crates use them.

    What stands for them says of each name what the two documents say (of 2020-10-30 and 2024).
    """
    import io
    import urllib.request
    from email.message import Message

    from requests.adapters import HTTPAdapter
    from urllib3.response import HTTPResponse

    terms = {name: f"http://schema.org/{name}" for name in NAMES.split()} | OTHERS
    body = json.dumps({"@context": terms}).encode()
    urls = {f"{CRATE}/context", f"{TERMS}/context"}

    def send(adapter: HTTPAdapter, request: Any, **_: object) -> Any:
        assert request.url in urls
        answer = HTTPResponse(io.BytesIO(body), {"content-type": "application/ld+json"}, 200)
        return adapter.build_response(request, answer)

    class Answer(io.BytesIO):
        headers, status = Message(), 200

        def info(self) -> Message:
            return self.headers

        def geturl(self) -> str:
            return f"{CRATE}/context"

    Answer.headers["content-type"] = "application/ld+json"
    monkeypatch.setattr(HTTPAdapter, "send", send)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer(body))
    monkeypatch.setattr("rdflib._networking.urlopen", lambda *_, **__: Answer(body), raising=False)


# running it again


def bosh(*arguments: object, within: Path) -> subprocess.CompletedProcess[str]:
    """Call bosh in a folder."""
    program = "import sys; sys.argv[0] = 'bosh'; from boutiques.bosh import bosh; sys.exit(bosh())"
    command = [sys.executable, "-c", program, "exec", *map(str, arguments)]
    return subprocess.run(command, cwd=within, capture_output=True, text=True, check=False)


def test_bosh_accepts_each_invocation(study: Study) -> None:
    """With the descriptor beside it, and names of files as they are on VIP."""
    folder = one(study)
    invocations = sorted((folder / "invocations").iterdir())
    assert len(invocations) == 5
    for path in invocations:
        said = bosh("simulate", "descriptor.json", "-i", path, within=folder)
        assert said.returncode == 0, said.stdout + said.stderr
        assert re.search(r"fit \S+\.mrui basis\.zip 2\.5", said.stdout)


def test_what_a_crate_holds_runs_again_to_the_same_result(bench: Bench, tmp_path: Path) -> None:
    """With the inputs beside it, a job gives the very bytes that the first one gave."""
    shouting = {
        **written("shout", "signal:File", "loud=[signal].loud"),
        "command-line": "tr a-z A-Z < [signal] > [OUT]",
    }
    shouting["output-files"][0]["value-key"] = "[OUT]"
    bench.world.pipelines.add(shouting)
    bench.runner.work = lambda job: {"loud": job.files["signal"].read_bytes().upper()}  # type: ignore[union-attr]
    bench.publish = Publisher(Gallery()).publish
    study = bench.study(settings=SETTINGS.replace("spectrum/1", "shout/1"), a="hear me")
    bench.rest()
    folder = shutil.copytree(one(study), tmp_path / "again")
    first = (folder / "a.mrui.loud").read_bytes()
    (folder / "a.mrui.loud").unlink()
    shutil.copy(study.root / "inputs" / "a.mrui", folder)
    said = bosh("launch", "-x", "descriptor.json", "invocation.json", within=folder)
    assert said.returncode == 0, said.stdout + said.stderr
    assert (folder / "a.mrui.loud").read_bytes() == first == b"HEAR ME"


REAL = Path(__file__).parents[1] / "examples" / "pipelines"


@pytest.mark.parametrize("path", sorted(REAL.glob("*.json")), ids=lambda path: path.stem)
def test_bosh_accepts_the_descriptors_of_real_pipelines(path: Path, tmp_path: Path) -> None:
    """With the empty lists, nulls and whole numbers with a point in which VIP answers them."""
    raw = json.loads(path.read_text("utf-8"))
    raw |= {"online-platform-urls": [], "error-codes": [], "url": None}
    (tmp_path / "descriptor.json").write_text(runnable(json.dumps(raw)), "utf-8")
    program = "import sys; sys.argv[0] = 'bosh'; from boutiques.bosh import bosh; sys.exit(bosh())"
    command = [sys.executable, "-c", program, "validate", "descriptor.json"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def given(values: dict[str, tuple[str, ...]]) -> Launch:
    """Return a launch of a script, which knows no cases."""
    return Launch("n", (), "p/1", values, VipPath("/vip/Home"), jobs=1)


@pytest.mark.parametrize(
    ("inputs", "custom", "values", "jobs"),
    [
        ("a:File b:File", {}, {"a": ("/vip/x/1", "/vip/x/2"), "b": ("/vip/y",)}, 2),
        ("a:File b:File", {}, {"a": ("1", "2"), "b": ("3", "4", "5")}, 6),
        ("a:File b:File", {"dot": ["a", "b"]}, {"a": ("1", "2"), "b": ("3", "4")}, 2),
        ("n:Int i:Int", {"intIteratorInputs": ["n"]}, {"n": ("4",), "i": ("1",)}, 4),
        ("a:File", {}, {"a": ("1",), "results-directory": ("/vip/Home",)}, 1),
    ],
)
def test_a_launch_is_written_down_job_by_job(
    inputs: str, custom: dict[str, Any], values: dict[str, tuple[str, ...]], jobs: int
) -> None:
    """Lists are crossed, or paired where the pipeline says so; what it does not know is left out."""
    descriptor = descriptor_of(json.dumps(written("p", inputs, **custom)), "p/1")
    assert descriptor is not None
    found = values_of(given(values), None, descriptor)
    assert len(found) == jobs
    told = [json.loads(invocation(job, descriptor)) for job in found]
    assert {key for one in told for key in one} == set(inputs.replace(":", " ").split()[::2])
    assert len({json.dumps(one) for one in told}) == jobs


def test_values_have_the_types_of_their_parameters() -> None:
    """Numbers are numbers, switches are switches, files are called as a job finds them."""
    raw = written("p", "a:File s:String n:Int d:Double f:Flag l:Files")
    descriptor = descriptor_of(json.dumps(raw), "p/1")
    assert descriptor is not None
    values = {"a": "/vip/Home/x.mrui", "s": "5", "n": "5", "d": "2.5", "f": "true", "l": "/vip/y"}
    assert json.loads(invocation(values, descriptor)) == {
        "a": "x.mrui",
        "s": "5",
        "n": 5,
        "d": 2.5,
        "f": True,
        "l": ["y"],
    }


# what is in the way, and what must not be in it


def test_nothing_of_this_machine_is_in_what_is_written(study: Study) -> None:
    """Neither in the crate nor on the page nor in the tables: no path, no host, no account."""
    outputs = study.root / "outputs"
    mine = [p for p in outputs.rglob("*") if p.name in {METADATA, "descriptor.json", "index.html"}]
    mine += [*outputs.glob("all-*.csv"), *outputs.rglob("invocations/*.json")]
    assert len(mine) == 10
    secrets = [str(study.root.parent), "/tmp/", "/dev/shm", socket.gethostname()]
    secrets += [f"/{getpass.getuser()}/", study.bench.key]
    for path in mine:
        text = path.read_text("utf-8")
        assert [word for word in secrets if word in text] == []


def clashing(job: Job) -> dict[str, bytes]:
    """Write results that are called as files of a crate are."""
    return {"archive": tgz({"x.txt": b"x"}), "report": b"{}", "table": b"[]", "volume": b""}


def test_results_that_are_called_like_files_of_ours_stay_and_are_listed(bench: Bench) -> None:
    """Ours are called otherwise then, and the crate says so."""
    bench.world.pipelines.add(written("fit", "signal:File", CLASHES))
    bench.runner.work = clashing
    bench.publish = Publisher(Gallery()).publish
    study = bench.study(settings=SETTINGS.replace("spectrum/1", "fit/1"), a="one")
    bench.rest()
    folder = one(study)
    assert (folder / "descriptor.json").read_bytes() == b"{}"
    assert (folder / "invocation.json").read_bytes() == b"[]"
    known = entities(folder)
    for name in ("descriptor.json", "invocation.json", "vipsync-descriptor.json"):
        content = (folder / name).read_bytes()
        assert known[name]["sha256"] == hashlib.sha256(content).hexdigest()
    assert json.loads((folder / "vipsync-invocation.json").read_text()) == {"signal": "a.mrui"}
    assert not study.says("did not write")


CLASHES = "archive=[signal].tgz report=descriptor.json table=invocation.json volume=empty"


def test_a_crate_of_the_pipelines_own_stays(bench: Bench) -> None:
    """Where the results hold one there is no other, and nothing is said of it."""
    bench.world.pipelines.add(written("fit", "signal:File", f"own={METADATA}"))
    bench.runner.work = lambda _job: {"own": b'{"@graph": []}'}
    publisher = Publisher(Gallery())
    bench.publish = publisher.publish
    study = bench.study(settings=SETTINGS.replace("spectrum/1", "fit/1"), a="one")
    bench.rest()
    (there,) = (study.root / "outputs").glob(f"*/{METADATA}")
    assert there.read_bytes() == b'{"@graph": []}'
    assert publisher.status is not None
    assert "did not write" not in str(publisher.status.notices)


def test_a_crate_is_written_once_every_result_is_here(bench: Bench) -> None:
    """And never before: a result that is missing would be missing in it for good."""
    study = findings(bench, volumes=False)
    seen: list[bool] = []

    def look() -> bool:
        whole = len(list((study.root / "outputs").glob("*/*.mrui.*"))) == 9
        seen.append(bool(crates(study)) <= whole)
        return bench.loop.at_rest()

    bench.until(look)
    assert all(seen)
    assert crates(study)


def test_a_crate_stays_as_it_is_in_the_next_process(study: Study) -> None:
    """What was found out once is not found out again."""
    folder = one(study)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    study.bench.restart()
    study.bench.publish = Publisher(Gallery()).publish
    study.bench.rest()
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_each_execution_has_a_crate_of_its_own(study: Study) -> None:
    """A case that runs again is told of in both."""
    study.ask("rerun", "sub-01.mrui")
    study.bench.rest()
    first, second = crates(study)
    assert "fit/1 of sub-01.mrui" in actions(first)
    assert list(actions(second)) == ["fit/1 of sub-01.mrui"]
    assert (second / "invocation.json").exists()


@pytest.mark.parametrize("raw", ["", "[]", "null", "{", '{"name": 5}'])
def test_a_descriptor_that_is_none_is_left_out(raw: str) -> None:
    """The crate then tells of the pipeline by its name alone."""
    assert descriptor_of(raw, "p/1") is None


@pytest.mark.parametrize(
    ("privacy", "value", "words"),
    [
        ("", "dicom", "nothing was let through"),
        ('off = "phantoms only"', "off", "phantoms only"),
        ('allow = { InstitutionName = "ethics 12" }', "dicom", "ethics 12"),
    ],
)
def test_a_crate_tells_of_the_privacy_gate(
    bench: Bench, privacy: str, value: str, words: str
) -> None:
    """Which one there was, what a person let through, and why."""
    study = bench.study(settings=f"{SETTINGS}\n[privacy]\n{privacy}\n", a="one")
    publisher = Publisher(Gallery())
    bench.publish = publisher.publish
    bench.rest()
    gate = next(
        e for e in entities(one(study)).values() if e.get("name") == "privacy gate of vipsync"
    )
    assert value in gate["value"]
    assert words in gate["description"]
