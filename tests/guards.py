"""Safety checks, taken out one by one: `python -m tests.guards` shows which test fails without each.

A check is taken out of the running code, not of a file: the one place of its source is compiled
anew without it, and put in the function's place for as long as the test runs.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from vipsync.act import perform
from vipsync.act import results as act_results
from vipsync.client import connection, wire
from vipsync.disk import archive, mirror, scan, tarstream
from vipsync.folder import folder, holding
from vipsync.observe import observer
from vipsync.plan import (
    calls,
    case_index,
    finishing,
    launching,
    plan,
    remote_folder,
    removing,
    requests,
    sending,
    starting,
)
from vipsync.plan import results as plan_results
from vipsync.record import ledger, lifecycle, outcomes
from vipsync.run import account, reconciler
from vipsync.script import drive, session, steps
from vipsync.settings import keys, reading


@dataclass(frozen=True)
class Guard:
    """A check: where it is, its source, what stands there without it, and the test that shows it."""

    name: str
    where: Callable[..., Any]
    check: str
    without: str
    test: str

    def take_out(self, patch: pytest.MonkeyPatch) -> None:
        """Let the function do without the check."""
        function = inspect.unwrap(self.where)
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(self.check) == 1, f"{self.name}: the check is not there once"
        module = compile(source.replace(self.check, self.without), self.name, "exec")
        patch.setattr(function, "__code__", _code(module, function.__name__))


def _code(module: CodeType, name: str) -> CodeType:
    (found,) = (
        code for code in module.co_consts if isinstance(code, CodeType) and code.co_name == name
    )
    return found


def _row(name: str) -> str:
    return f"tests/test_plan.py::test_the_plan_of[{name}]"


def _after(name: str) -> str:
    return f"tests/test_outcomes.py::test_what_is_true_after[{name}]"


def _hostile(name: str) -> str:
    return f"tests/test_archive.py::test_hostile[{name}-tar]"


LATE_UPLOAD = (
    "tests/test_doubts_system.py::test_a_late_upload_is_waited_for_by_the_next_process_too"
)
FINISHING = removing.plan_removal
MARKER = finishing.plan_marker

GUARDS = (
    # whose data these are
    Guard(
        "only a folder with our id alone is removed",
        perform._remove,
        "ids != ((mine,) if action.ids is None else action.ids)",
        "False",
        "tests/test_perform.py::test_a_folder_that_is_not_ours_alone_is_never_removed[both]",
    ),
    Guard(
        "an execution that has ended is not killed",
        perform._kill,
        " or seen.execution.status.ended",
        "",
        "tests/test_perform.py::test_an_execution_that_has_ended_is_not_killed",
    ),
    Guard(
        "a name that is taken is not used",
        remote_folder.open_session,
        "if whose(session, seen) is Whose.THEIRS:",
        "if False:",
        _row("somebody's folder: the name is taken, nothing is sent"),
    ),
    Guard(
        "a folder with two ids is nobody's",
        remote_folder.whose,
        "len(seen.ids) > ours",
        "False",
        _row("open, and another id lies beside ours: nothing is sent"),
    ),
    Guard(
        "a folder that another key does not see is not gone",
        remote_folder.whose,
        "Whose.GONE if seen.key_print == session.key_print else Whose.UNSEEN",
        "Whose.GONE",
        _row("removing with another key: a folder that it does not see is not gone"),
    ),
    Guard(
        "nothing outside the session's folder is removed",
        removing.removal_targets,
        ' and p.startswith(f"{session.home}/")',
        "",
        _row("an output folder outside the session's is never removed"),
    ),
    Guard(
        "a path on VIP has no '..'",
        wire.is_plain_name,
        'name in {"", ".", ".."}',
        'name in {""}',
        "tests/test_client.py::test_delete_of_a_parent_by_dots_is_not_sent",
    ),
    # the marker and the end
    Guard(
        "the marker is missing for the whole grace time",
        MARKER,
        'draft.wait_for("marker gone", grace)',
        "True",
        _row("the marker is gone, not for the grace yet"),
    ),
    Guard(
        "two looks agree that the marker is gone",
        MARKER,
        'draft.since("marker gone") > 0 and ',
        "",
        _row("no grace: two looks must agree all the same"),
    ),
    Guard(
        "a marker that was never written is not missing",
        MARKER,
        "not draft.s.marker and not session.marked",
        "False",
        _row("a marker that was never written is written, its absence means nothing"),
    ),
    Guard(
        "nothing is concluded from a marker of a folder that was away",
        MARKER,
        "draft.s.memory.was_absent",
        "False",
        "tests/test_absence_system.py"
        "::test_a_folder_that_comes_back_without_its_marker_removes_nothing",
    ),
    Guard(
        "results are here before anything is removed",
        FINISHING,
        "not missing(draft.s) and ",
        "",
        _row("finishing: a result that is not here comes first"),
    ),
    Guard(
        "running executions are waited for",
        removing.missing,
        "[*running, *unlisted, ",
        "[*unlisted, ",
        _row("finishing: a running execution is waited for"),
    ),
    Guard(
        "the last results are listed before anything is removed",
        removing.missing,
        "[*running, *unlisted, ",
        "[*running, ",
        _row("finishing: an execution that was not listed is listed first"),
    ),
    Guard(
        "a refused result blocks the removal",
        plan_results.open_results,
        "(ResultStatus.WANTED, ResultStatus.REFUSED)",
        "(ResultStatus.WANTED,)",
        _row("finishing: a refused result blocks the removal"),
    ),
    Guard(
        "nothing is removed while a transfer is in doubt",
        FINISHING,
        "not _doubts(draft) and ",
        "",
        _row("finishing: a transfer in doubt is waited for"),
    ),
    Guard(
        "nothing is removed while a launch is in doubt",
        removing._doubts,
        "any(x.status is LaunchStatus.INTENDED for x in state.launches.values())",
        "False",
        _row("finishing: nothing is removed while a launch is in doubt"),
    ),
    Guard(
        "nothing is removed while a transfer is under way",
        removing._doubts,
        "any(key.kind in SENDS for key in memory.under_way)",
        "False",
        _row("finishing: a transfer under way is waited for"),
    ),
    Guard(
        "late writers are waited for",
        removing._doubts,
        "    if waiting:\n        say_late_writers(draft)\n    return waiting",
        "    return False",
        _row("finishing: the late writers of a killed execution are waited for, wanted or not"),
    ),
    Guard(
        "a transfer without an answer is waited for",
        removing._doubts,
        "memory.unanswered_at is not None",
        "False",
        _row("finishing: a transfer that got no answer may still arrive, though a later one has"),
    ),
    Guard(
        "a transfer without an answer is waited for by the next process too",
        reconciler.Reconciler._by_this_clock,
        "at is None",
        "True",
        f"{LATE_UPLOAD}[after it]",
    ),
    Guard(
        "a transfer whose process has ended is waited for",
        holding._note_unanswered,
        "row.status is SendStatus.TRYING",
        "False",
        f"{LATE_UPLOAD}[before the next try]",
    ),
    Guard(
        "inputs that others use are not removed",
        FINISHING,
        " and not _leased(draft)",
        "",
        "tests/test_share_system.py::test_finish_of_the_lender_waits_for_the_borrowers_executions",
    ),
    Guard(
        "nothing is removed before cases are set aside",
        FINISHING,
        "case Stage.DRAINING:",
        "case Stage.ENDING | Stage.DRAINING:",
        _row("finishing: those that nobody read are read first"),
    ),
    Guard(
        "a removal is asked for again after ten minutes only",
        removing._remove,
        "s.now >= asked + ASK_AGAIN",
        "True",
        _row("removing: asked again after ten minutes, not before"),
    ),
    Guard(
        "a removal is confirmed by looking",
        removing._remove,
        "targets = [t for t in removal_targets(s) if t not in memory.removed]",
        "targets = [t for t in removal_targets(s) if t not in memory.removal_asked]",
        "tests/test_marker_system.py::test_the_removal_is_confirmed_before_the_session_is_closed",
    ),
    Guard(
        "only what was seen running in this process is killed",
        plan_results.kill,
        "seen and not execution.over",
        "not execution.over",
        _row("finish --kill: what this process did not look at yet is looked at, not killed"),
    ),
    Guard(
        "an error in the settings holds back what they decide",
        plan.plan,
        "if snapshot.settings_error:",
        "if False:",
        _row("settings with an error: following goes on, nothing is sent or started"),
    ),
    Guard(
        "a request is carried out once",
        requests.plan_requests,
        "request.id in draft.s.state.requests",
        "False",
        _row("a request that was carried out is not carried out again, but taken away"),
    ),
    # launched once
    Guard(
        "the intent of a launch is written down first",
        outcomes.intent,
        "case do.StartExecution():",
        "case do.StartExecution() if False:",
        "tests/test_outcomes.py::test_the_intent_of_a_launch_comes_before_it",
    ),
    Guard(
        "a launch in doubt is looked for by its name",
        starting._settle,
        "doubted >= DOUBT and looked is not None and memory.found_whole and _fresh(draft, looked)",
        "True",
        _row("a launch in doubt is looked for by its name, nothing else starts"),
    ),
    Guard(
        "a list that was cut settles nothing",
        starting._settle,
        " and memory.found_whole and _fresh(draft, looked)",
        " and _fresh(draft, looked)",
        _row("a list that was cut settles nothing"),
    ),
    Guard(
        "a list of long ago settles nothing",
        starting._settle,
        " and memory.found_whole and _fresh(draft, looked)",
        " and memory.found_whole",
        _row("a list of long ago settles nothing"),
    ),
    Guard(
        "a list at its limit is not whole",
        perform._act,
        "whole=len(found) < LIST_LIMIT",
        "whole=True",
        "tests/test_perform.py::test_a_list_at_its_limit_is_not_whole",
    ),
    Guard(
        "executions of ours are looked for before the first launch",
        starting.start,
        "memory.ours is None",
        "False",
        _row("all is there: find executions of ours once, before the first launch of a process"),
    ),
    Guard(
        "the results folder of the last launch is known before the next",
        starting.start,
        "_last_folder_unknown(draft)",
        "False",
        _row("the next launch waits until the last results folder is known"),
    ),
    Guard(
        "one second lies between two launches",
        starting.start,
        "memory.started_at is not None and draft.s.now",
        "False and draft.s.now",
        _row("one second lies between two launches"),
    ),
    Guard(
        "what was launched is not launched again",
        case_index.index_cases,
        "if _is_due(case, index):",
        "if True:",
        _row("a launched case is not launched again"),
    ),
    Guard(
        "what VIP refused is not tried again",
        case_index.index_cases,
        "_still_refused(case, index)",
        "False",
        _row("refused by VIP: told to a person, not tried again"),
    ),
    Guard(
        "many jobs need a person's word",
        launching._start_first,
        "jobs > s.settings.launch.confirm_above",
        "False",
        _row("above confirm_above a person must agree"),
    ),
    # transfers
    Guard(
        "a file that changes while it is sent was not sent",
        perform._same,
        "FileState.of(now) != state or FileState.of(there) != state",
        "False",
        "tests/test_perform.py::test_a_file_that_changes_while_it_is_sent_was_not_sent",
    ),
    Guard(
        "a folder that changes while it is packed was not packed",
        perform._unchanged,
        "if not same:",
        "if False:",
        "tests/test_perform.py::test_a_folder_whose_member_was_replaced_is_not_sent",
    ),
    Guard(
        "an archive of another size on VIP was not sent",
        perform._deliver,
        "there is None or there.size != size",
        "False",
        "tests/test_packing_system.py::test_an_archive_of_a_wrong_size_is_sent_beside_it",
    ),
    Guard(
        "what nobody sent is not replaced on VIP",
        sending.InputPlaces._fit,
        "self._is_listed(vip)",
        "False",
        _row("something that nobody sent lies there: the next version"),
    ),
    Guard(
        "what has a wrong size on VIP is not used",
        sending.InputPlaces._fit,
        "row.status is SendStatus.WRONG",
        "False",
        _row("a wrong size lies there: the next version"),
    ),
    Guard(
        "a file is sent once it is quiet",
        case_index.index_cases,
        "snapshot.unsettled and any(",
        "False and any(",
        _row("a file still changes: wait for it, open nothing"),
    ),
    Guard(
        "what has another size on VIP was not sent",
        outcomes._folder_seen,
        "size != row.size",
        "False",
        _after("there in another size: never used again"),
    ),
    Guard(
        "an equal size without a known content is not sent",
        outcomes._folder_seen,
        "SendStatus.SENT if row.sha256 else SendStatus.ANSWERED",
        "SendStatus.SENT",
        _after("there in its size, content not known: only answered"),
    ),
    Guard(
        "a download has the size that VIP told",
        act_results._download,
        "if size != action.size:",
        "if False:",
        "tests/test_fetching.py::test_fewer_bytes_than_listed_are_an_error",
    ),
    Guard(
        "a part of another content is not gone on with",
        act_results.part_name,
        "-{size}.part",
        ".part",
        "tests/test_fetching.py::test_a_part_of_another_content_is_not_gone_on_with",
    ),
    Guard(
        "a result replaces nothing",
        mirror.place,
        "if os.path.lexists(candidate):",
        "if False:",
        "tests/test_mirror.py::test_a_folder_replaces_nothing_either[empty folder]",
    ),
    Guard(
        "only the very same result was placed before",
        mirror._same,
        "filecmp.cmp(fresh, there, shallow=False)",
        "True",
        "tests/test_mirror.py::test_what_is_in_the_way_stays",
    ),
    # archives
    Guard(
        "absolute names stay packed",
        archive._checked_name,
        'not raw or raw.startswith("/")',
        "False",
        _hostile("absolute"),
    ),
    Guard(
        "names that lead up stay packed",
        archive._checked_name,
        'part == ".."',
        "False",
        _hostile("up"),
    ),
    Guard(
        "names that no disk can hold stay packed",
        archive._checked_name,
        'disk_refuses(_NO_UTF_8.sub("?", part))',
        "False",
        _hostile("newline"),
    ),
    Guard(
        "deep names stay packed",
        archive._checked_name,
        "len(parts) > depth",
        "False",
        _hostile("deep"),
    ),
    Guard(
        "names that are there twice stay packed",
        archive._Names._claim,
        "other == name",
        "False",
        _hostile("twice"),
    ),
    Guard(
        "names that differ in case stay packed",
        archive._Names._claim,
        "other is not None",
        "False",
        _hostile("case"),
    ),
    Guard(
        "an archive has so many members at most",
        archive._Names._claim,
        "len(self) >= self._most",
        "False",
        "tests/test_archive.py::test_entries_limit",
    ),
    Guard(
        "an archive becomes so large at most",
        archive._Tree._count,
        "self.size > self._allowance",
        "False",
        "tests/test_archive.py::test_size_limit",
    ),
    Guard(
        "an archive becomes so many times larger at most",
        archive.Limits.allowance,
        "min(self.size, max(self.spared, self.ratio * packed))",
        "self.size",
        "tests/test_archive.py::test_bomb[gz]",
    ),
    Guard(
        "links that lead out stay packed",
        archive._Names._pointed,
        'target.startswith("/") or (part == ".." and not at)',
        "False",
        _hostile("absolute link"),
    ),
    Guard(
        "links to nothing are left out",
        archive._Names.followed,
        "not self.is_file(name)",
        "False",
        "tests/test_archive.py::test_an_odd_member_is_left_out_and_named[link to nothing-tar]",
    ),
    Guard("devices stay packed", archive._Tree._add, "member.isreg() and ", "", _hostile("fifo")),
    Guard(
        "sparse files are left out",
        archive._Tree._add,
        " and member.sparse is None",
        "",
        "tests/test_archive.py::test_sparse[oldgnu-tar]",
    ),
    Guard(
        "an archive has a member",
        archive._Tree.fill,
        "if empty:",
        "if False:",
        "tests/test_archive.py::test_only_zeros[tar]",
    ),
    Guard(
        "an archive is on the disk before it is visible",
        archive.unpack,
        "_flush_tree(tree)",
        "pass",
        "tests/test_archive.py::test_flushed_before_visible[False]",
    ),
    Guard(
        "an archive is read to its end",
        tarstream.TarReader.members,
        "self._source.finish()",
        "pass",
        "tests/test_tarstream.py::test_something_follows[x-gz]",
    ),
    Guard(
        "a stream that was cut is damaged",
        tarstream._expanded,
        "    if begun:\n        raise",
        "    if False:\n        raise",
        "tests/test_tarstream.py::test_cut_short[gz]",
    ),
    Guard(
        "a header has a size that is sane",
        tarstream._Source.read,
        "not 0 <= size <= self._header_size <= _HEADER_MOST",
        "False",
        "tests/test_tarstream.py::test_enormous_header[x]",
    ),
    # the folder
    Guard(
        "a folder with another id is not ours",
        folder.SessionFolder.require,
        "mine is None or mine.id != session_id",
        "mine is None",
        "tests/test_folder.py::test_a_folder_that_is_not_ours_any_more_is_absent[another id]",
    ),
    Guard(
        "another folder in its place is not ours",
        observer.Observer._require_place,
        "not same_folder(self.folder.root, self._root)",
        "False",
        "tests/test_absence_system.py::test_a_copy_in_the_folders_place_is_not_the_folder",
    ),
    Guard(
        "what another folder in the place of inputs holds was not scanned",
        scan.Scanner.look,
        "not same_folder(self._root, which)",
        "False",
        "tests/test_scan.py::test_root_replaced_during_the_scan",
    ),
    Guard(
        "a request counts as carried out when its effect is there",
        requests.plan_requests,
        "if not all(",
        "if False and not all(",
        _row(
            "finish: a marker that could not be deleted is tried again before anything is decided"
        ),
    ),
    Guard(
        "no decision follows a marker that could not be deleted just now",
        reconciler.Reconciler.next_work,
        "isinstance(outcome, do.Failed)",
        "False",
        "tests/test_disk_system.py"
        "::test_a_request_whose_effect_or_end_is_refused_is_carried_out_once[read-only-once]",
    ),
    Guard(
        "an empty mount point never becomes a session",
        holding.take,
        "if known_id:",
        "if False:",
        "tests/test_absence_system.py"
        "::test_a_folder_that_is_not_there_is_never_a_deleted_marker[empty_mount_point]",
    ),
    Guard(
        "a copied folder does nothing",
        folder.SessionFolder.refuse_copy,
        "there and there.id == mine.id and not _same_file(old.root, self.root)",
        "False",
        "tests/test_folder.py::test_a_copied_folder_is_refused",
    ),
    Guard(
        "one process works in a folder",
        folder.SessionFolder.held,
        "self._lock.acquire(timeout=patience, poll_interval=0.02)",
        "pass",
        "tests/test_folder.py::test_one_process_works_in_a_folder",
    ),
    Guard(
        "one host works in a folder",
        holding.HostLease.other,
        "host != self._host and ",
        "False and ",
        "tests/test_folder.py::test_another_host_is_kept_out_while_its_lease_counts",
    ),
    # the ledger
    Guard(
        "a commit is on the disk",
        ledger._connect,
        "synchronous = FULL",
        "synchronous = NORMAL",
        "tests/test_ledger.py::test_a_local_disk_gets_wal_and_full_sync",
    ),
    Guard(
        "a commit is all or nothing",
        ledger.Ledger.commit,
        'self._db.execute("BEGIN IMMEDIATE")',
        "pass",
        "tests/test_ledger.py::test_a_commit_is_all_or_nothing",
    ),
    Guard(
        "a ledger of a newer version is left alone",
        ledger.Ledger._prepare,
        "version > VERSION",
        "False",
        "tests/test_ledger.py::test_a_ledger_of_a_newer_version_is_left_alone",
    ),
    # the key
    Guard(
        "the key follows no redirect",
        connection.Connection.__init__,
        "follow_redirects=False",
        "follow_redirects=True",
        "tests/test_connection.py::test_redirect_is_not_followed[307]",
    ),
    Guard(
        "the key is taken out of foreign texts",
        connection.Connection._redacted,
        "len(key) >= _SHORTEST_SECRET",
        "False",
        "tests/test_connection.py::test_echoed_key_stays_out_of_errors_and_logs[answer0]",
    ),
    Guard(
        "a key that cannot be a header is not shown",
        connection.usable_key,
        'not (key.isascii() and key.isprintable()) or " " in key',
        "False",
        "tests/test_connection.py::test_unsendable_key_is_refused_without_showing_it[abc\\ndefgh]",
    ),
    Guard(
        "a refusal is read so far only",
        connection._beginning,
        "len(body) >= MAX_REFUSAL",
        "False",
        "tests/test_connection.py::test_long_refusal_is_not_read_whole",
    ),
    Guard(
        "no key stands in the settings",
        keys.key_source,
        "looks_like_key(value)",
        "False",
        "tests/test_settings.py"
        "::test_a_key_is_refused_and_never_repeated[api_key-k7q2v9s1m4n8b3c6d5f0g2h1j4]",
    ),
    Guard(
        "no key lies in the folder",
        reading._refuse_key_inside,
        "path and any(",
        "False and any(",
        "tests/test_settings.py::test_a_key_file_inside_the_session_is_refused[a/key]",
    ),
    Guard(
        "inputs and outputs do not lie in one another",
        reading.places,
        "_contains(inputs, outputs) or _contains(outputs, inputs)",
        "False",
        "tests/test_settings.py::test_places_that_overlap_are_refused[data-data]",
    ),
    Guard(
        "our id goes into an empty folder only",
        perform._claim,
        "_ids(tuple(others)) or (others and not action.named)",
        "False",
        "tests/test_folders_system.py"
        "::test_a_folder_that_somebody_makes_before_us_is_not_taken[one process]",
    ),
    Guard(
        "a folder without an id is ours only while it is empty",
        remote_folder.whose,
        "seen.exists and not (session.named or making)",
        "False",
        _row("open, and somebody was there before our id: it was never ours"),
    ),
    Guard(
        "what was seen long ago is looked at again before the session opens",
        remote_folder.open_session,
        "s.now > s.memory.home_at + LOOKED",
        "False",
        _row("nobody's folder a while ago: look again before it is opened"),
    ),
    Guard(
        "an answer to the key of before is not believed",
        reconciler.Reconciler.settle,
        "not self.is_open or other_key",
        "not self.is_open",
        "tests/test_folders_system.py::test_an_answer_to_the_key_of_before_proves_nothing",
    ),
    Guard(
        "a removal that was asked for is not forgotten",
        outcomes._failed,
        "removal_asked_at=action.asked",
        "removal_asked_at=None",
        "tests/test_marker_system.py::test_a_removal_that_was_asked_for_is_not_forgotten",
    ),
    Guard(
        "a script leaves what is lent",
        calls.plan_end,
        "if not lent(s) and (",
        "if (",
        "tests/test_calls.py::test_what_is_lent_is_not_removed",
    ),
    Guard(
        "a stage is left by the ways of the table only",
        lifecycle.step,
        "if stage is None:",
        "stage = stage or session.stage\n    if False:",
        "tests/test_stages.py::test_an_event_leads_where_the_table_says_or_cannot_happen"
        "[asked-marker back]",
    ),
    Guard(
        "a script removes no results that did not come",
        steps.SessionSteps._refuse_missed,
        "if missed := plans.missed(s):",
        "if False:",
        "tests/test_session_end.py::test_results_that_did_not_come_are_never_removed"
        "[GET /rest/path/*tgz*]",
    ),
    Guard(
        "a step that did not reach its end raises",
        drive.Step.run,
        "self._raise_lasting()",
        "pass",
        "tests/test_session_end.py::test_results_that_did_not_come_are_never_removed"
        "[GET /rest/path/*OUTPUTS*]",
    ),
    Guard(
        "a name alone proves nothing",
        calls._take_to_remove,
        "if session.named or session.id in seen.ids:",
        "if True:",
        "tests/test_session_end.py::"
        "test_a_session_that_nothing_proves_to_be_ours_is_not_said_to_be_over[vip_outputs]",
    ),
    Guard(
        "what runs is not removed by its name",
        session.VipSession.finish,
        "if running or not plans.all_over(step.state):",
        "if not plans.all_over(step.state):",
        "tests/test_session_end.py::test_by_name_nothing_is_removed_under_jobs_that_run",
    ),
    Guard(
        "runs that were to come end with the session",
        calls.interrupted,
        "and removed.isdisjoint(started(state, launch.request))",
        "",
        "tests/test_session_end.py::test_an_end_ends_the_runs_that_were_to_come[OUTPUTS]",
    ),
    Guard(
        "what is kept on VIP stays in the session",
        removing.removed,
        "if not finish.keep_input and not finish.keep_output:",
        "if True:",
        "tests/test_marker_system.py::"
        "test_what_is_kept_is_told_for_as_long_as_it_is_on_vip[marker-keep_output]",
    ),
    Guard(
        "what is kept is not finished over and over",
        finishing.plan_after_download,
        "if not leaves_something_to_remove(s):",
        "if False:",
        "tests/test_marker_system.py::"
        "test_what_is_kept_is_told_for_as_long_as_it_is_on_vip[download-keep_input]",
    ),
    Guard(
        "only what cannot come is let go",
        removing.let_go,
        "and cannot_come(r, snapshot)",
        "",
        "tests/test_removing.py::test_results_are_let_go_by_name_or_path",
    ),
    Guard(
        "one key proves nothing for another",
        account.Access.renew,
        "memory.account is not account.memory",
        "False",
        "tests/test_folders_system.py::test_a_key_that_changes_while_finishing_proves_nothing",
    ),
    Guard(
        "what a thread still writes is no leftover",
        reconciler.Reconciler.open,
        "not before.under_way",
        "True",
        "tests/test_absence_system.py::test_a_halt_while_an_archive_is_unpacked_leaves_it_whole",
    ),
    Guard(
        "a tree that lost files is not placed",
        archive._require_whole,
        "found != tree.files",
        "False",
        "tests/test_archive.py::test_a_tree_that_lost_files_meanwhile_is_not_placed",
    ),
)


class _Without:
    """Let each test run without the guard that it is there for, and keep what came of it."""

    def __init__(self, guards: Sequence[Guard]) -> None:
        self._guards = {guard.test: guard for guard in guards}
        self.ends: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        guard = self._guards[item.nodeid]
        self.ends[guard.name] = "passed"
        with pytest.MonkeyPatch.context() as patch:
            guard.take_out(patch)
            return (yield)

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo and call.when != "teardown":
            self.ends[self._guards[item.nodeid].name] = call.excinfo.typename


def ends_without(guards: Sequence[Guard]) -> dict[str, str]:
    """Return, by the name of each guard, what became of its test: passed, or the error's name."""
    options = ["-q", "--no-header", "--tb=no", "-r", "N", "-p", "no:cacheprovider"]
    options += ["-o", "timeout=30"]  # what never ends without its guard shows it too
    options += ["--assert=plain"]  # where CI is set, pytest compares megabytes line by line
    without = _Without(guards)
    pytest.main([*options, *(guard.test for guard in guards)], plugins=[without])
    return without.ends


if __name__ == "__main__":
    chosen = [guard for guard in GUARDS if not sys.argv[2:] or guard.name in sys.argv[2:]]
    Path(sys.argv[1]).write_text(json.dumps(ends_without(chosen), indent=1))
