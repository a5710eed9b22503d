"""How many requests VIP gets, each with its reason: as few as its API allows (facts 3)."""

from __future__ import annotations

from collections import Counter

from tests.lab.bench import Bench

ONLY_SENT = 'session_name = "study"\nportal = "https://vip.test"\n'


def asked(bench: Bench) -> Counter[str]:
    """Return the requests since the last call by what they are for."""
    found = Counter(_purpose(r.method, r.path) for r in bench.world.requests)
    bench.world.requests.clear()
    return found


def _purpose(method: str, path: str) -> str:
    name = path.rpartition("/")[2]
    inside = "/INPUTS/" in path
    match method, inside, "." in name:
        case "PUT", _, True:
            return "file"
        case "PUT", _, False:
            return "new folder"
        case "GET", True, False:
            return "list of sizes"
        case "GET", False, _ if path.startswith("/executions"):
            return "executions"
        case "GET", False, _:
            return "whose is the folder"
        case _:
            return f"{method} {path}"


def test_a_first_upload_a_quiet_hour_and_one_new_file(bench: Bench) -> None:
    """One request for each file and folder, one list of each folder; none at rest; two for a new file."""
    study = bench.study(settings=ONLY_SENT)
    study.write({f"f{number % 10:02}/{number}.dat": f"x{number}" for number in range(100)})
    bench.rest()
    assert (
        asked(bench)
        == {
            "file": 100,
            "new folder": 14,  # the 10, INPUTS, the session's, its id, and API, which was not there yet
            "list of sizes": 10,  # a stored file can have a wrong size, and only a list tells (facts 3.5)
            "whose is the folder": 6,  # platform, folder, the one above; again once it was made
            "executions": 1,  # an older copy of this folder may have started some
        }
    )
    bench.run(3000)
    assert asked(bench) == {}, "once an hour the lists are looked at again, and nothing before"
    study.write({"f01/new.dat": "y"})
    bench.rest()
    assert asked(bench) == {"file": 1, "list of sizes": 1}


def test_a_new_signal_from_upload_to_result(bench: Bench) -> None:
    """A file, its size, a launch, polls, one list, one download: nothing is asked twice."""
    study = bench.study(a="one")
    bench.rest()
    bench.world.requests.clear()
    study.drop(b="two")
    bench.rest()
    found = Counter(f"{r.method} {'/'.join(r.path.split('/')[:2])}" for r in bench.world.requests)
    polls = found.pop("GET /executions")
    assert found == {
        "PUT /path": 1,
        "GET /path": 3,  # the size of the input; the list of the results folder; the result
        "POST /executions": 1,
    }
    assert polls <= 4  # every 5 s until the results folder is known, then every refresh_time
