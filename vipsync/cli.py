"""The command line: options, the one error boundary, exit codes. Only this module exits.

0 at rest, nothing wrong · 1 settings or another known error · 2 usage · 3 needs a person ·
4 key missing or refused · 5 VIP cannot be reached · 130 interrupted.

What commands need is imported when they run, so that `--help` and small ones start fast.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

import click

from vipsync import commands
from vipsync.errors import KeyMissing, VipsyncError

if TYPE_CHECKING:
    from vipsync.commands.context import Context
    from vipsync.model import Secret
    from vipsync.report.reporter import Reporter

EXIT_CODES = """\b
Exit codes:
  0    at rest, nothing wrong (incomplete cases are named)
  1    settings or another known error, or another run holds the folder
  2    usage
  3    needs a person: failed, held or stalled jobs, a name that is taken …
  4    the API key is missing or refused
  5    VIP cannot be reached
  130  interrupted
"""

FIRST_STEPS = (
    "vipsync login",
    "vipsync init my-study --pipeline CQUEST/0.6",
    "vipsync run my-study",
)

DIRECTORY = click.Path(path_type=Path, file_okay=False)
FOLDER = click.argument("directory", metavar="DIR", type=DIRECTORY)
ANY_FOLDER = click.argument("directory", metavar="[DIR]", required=False, type=DIRECTORY)
DIRECTORIES = click.argument("directories", metavar="[DIR]...", nargs=-1, type=DIRECTORY)
FOLDERS_AND_CASES = click.argument("words", metavar="[DIR]... [CASE]...", nargs=-1)
SURE = click.option("--yes", is_flag=True, help="Do it without asking.")
SURE_OF_ALL = click.option(
    "--yes", is_flag=True, help="Do it in several folders without asking first."
)
GARBAGE = 20_000
"""New objects after which Python looks for cycles: there are few, and 700 costs a sixth of the time."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    gc.set_threshold(GARBAGE)
    _open_files()
    code = exit_code(arguments)
    _let_go(sys.stdout, 1)
    _let_go(sys.stderr, 2)
    gc.freeze()  # what is left goes with the process: Python need not look for garbage in it
    sys.exit(code)


def _open_files() -> None:
    """Let no standard file end the work: not one that is closed, full, or nobody's any more."""
    from vipsync.report.stream import lasting

    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would get its number
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # never bytes that are no text, either
    sys.stdin = sys.stdin or io.StringIO()
    sys.stdout = cast("TextIO", lasting(sys.stdout))
    sys.stderr = cast("TextIO", lasting(sys.stderr))


def _let_go(file: TextIO, number: int) -> None:
    """Flush a file; what it does not take goes nowhere, so that Python cannot complain at its end."""
    file.flush()
    if getattr(file, "error", None):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def exit_code(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code. No exception leaves it, and no traceback."""
    reporter = cache(_reporter)
    try:
        code = vipsync.main(
            None if arguments is None else list(arguments),
            prog_name="vipsync",
            standalone_mode=False,
            obj=reporter,
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        reporter().warn(
            "Interrupted. What was done is recorded; the next start continues from there."
        )
        from vipsync.commands.foreground import INTERRUPTED

        return INTERRUPTED
    except VipsyncError as error:
        reporter().failed(error)
        return error.exit_code
    except Exception as error:
        from vipsync.report.faults import trouble_of

        trouble = trouble_of(error)
        reporter().failed(trouble)
        return trouble.exit_code
    return int(code or 0)


def _reporter() -> Reporter:
    from vipsync.report.reporter import Reporter

    return Reporter()


def _examples(*lines: str) -> str:
    return "\n".join(("\b", "Example:", *(f"  {line}" for line in lines)))


def _say_version(ctx: click.Context) -> NoReturn:
    import platform
    from importlib.metadata import version

    from vipsync.settings.machine import machine_file

    place = (file := machine_file()) and file.parent
    click.echo(f"vipsync, version {version('vipsync')}, with Python {platform.python_version()}")
    click.echo(f"Your settings lie in {place}" if place else "This account has no settings folder.")
    ctx.exit()


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"{_examples(*FIRST_STEPS)}\n\n{EXIT_CODES}",
    no_args_is_help=True,
)
@click.option(
    "--portal",
    metavar="URL",
    help="The address of the VIP portal, instead of the one that settings.toml names.",
)
@click.option(
    "--api-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that holds the API key; it is used instead of that of `vipsync login`.",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A vipsync.toml, instead of the one in your configuration folder.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the log as well, on stderr.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=lambda ctx, _, asked: _say_version(ctx) if asked else None,
    help="Show this version, Python's, and where settings lie.",
)
@click.pass_context
def vipsync(
    ctx: click.Context,
    portal: str | None,
    api_key_file: Path | None,
    config: Path | None,
    *,
    verbose: bool,
) -> None:
    """Run a pipeline on VIP, the Virtual Imaging Platform, from a folder.

    Drop files into inputs/, results appear in outputs/; delete ON_VIP.txt, and VIP is clean again.
    """
    from vipsync.commands.context import Context
    from vipsync.model import Environment

    reporter: Reporter = ctx.obj()
    asks = sys.stdin.isatty()
    agree = _agree if asks else lambda: True
    ctx.obj = Context(
        reporter,
        Environment(os.environ),
        portal,
        api_key_file,
        agree,
        config,
        asks=asks,
        verbose=verbose,
    )
    ctx.call_on_close(ctx.obj.connect.close)
    _show_log(ctx, reporter, verbose=verbose)


def _show_log(ctx: click.Context, reporter: Reporter, *, verbose: bool) -> None:
    """Show the log while a command runs; what comes after its end is nobody's business."""
    import logging

    from vipsync.report.reporter import Warnings

    logging.raiseExceptions = False  # a log that cannot be written ends nothing
    logger = logging.getLogger("vipsync")
    handler = Warnings(reporter, logging.INFO if verbose else logging.WARNING)
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.NullHandler())
    logger.addHandler(handler)
    ctx.call_on_close(lambda: logger.removeHandler(handler))


Function = Callable[..., int]


def command(
    *examples: str, name: str | None = None, group: click.Group = vipsync
) -> Callable[[Function], click.Command]:
    """Make a command of a function that is given the context first; its help ends with examples."""
    made = group.command(name, epilog=_examples(*examples))
    return lambda function: made(click.pass_obj(function))


def _agree() -> bool:
    return click.confirm("Go on?", err=True)


@command("vipsync init my-study --pipeline CQUEST/0.6")
@FOLDER
@click.option(
    "--pipeline",
    metavar="ID",
    help="Fill settings.toml in for this pipeline; `vipsync pipelines` lists them.",
)
@click.option(
    "--fresh",
    "mode",
    flag_value="fresh",
    help="For a folder that was copied: make it a session of its own, with an id of its own.",
)
@click.option(
    "--adopt",
    "mode",
    flag_value="adopt",
    help="Go on with a session that is on VIP already: one of vip-client, or one whose folder .vipsync was lost.",
)
@click.option(
    "--station",
    "export",
    metavar="EXPORT",
    type=DIRECTORY,
    help="Make a station: one session per study that arrives in this folder.",
)
def init(
    context: Context, directory: Path, pipeline: str | None, mode: str | None, export: Path | None
) -> int:
    """Make a session folder: one study, one pipeline.

    Data go into its inputs/, and its settings.toml says what to do with them. A station makes such a folder for each study that a scanner exports.
    """
    if export:
        if mode:
            raise click.UsageError("--station goes with --pipeline only.")
        return commands.station.init(context, directory, export, pipeline)
    return commands.account.init(context, directory, pipeline, mode or "")


@command("vipsync login")
@click.option("--portal", metavar="URL", help="The portal that the key is for.")
def login(context: Context, portal: str | None) -> int:
    """Ask for the API key, check it and keep it for its portal.

    The key goes to this portal only, and no other key does. The portal shows the key on your account page. From a pipe, the first line is read.
    """
    return commands.account.login(context, _asked_key(), portal)


def _asked_key() -> Secret:
    from vipsync.model import Secret

    if sys.stdin.isatty():
        return Secret(click.prompt("API key (not shown)", hide_input=True, err=True).strip())
    key = sys.stdin.readline().strip()
    if not key:
        raise KeyMissing("No key was given.", "Type it at a terminal, or pipe it in as one line.")
    return Secret(key)


@command("vipsync check my-study", "vipsync check")
@ANY_FOLDER
def check(context: Context, directory: Path | None) -> int:
    """Say whether all is in order to run; change nothing.

    Settings, key, pipeline, files, and the number of jobs that would start.

    Without DIR: the session folder around you, else vipsync.toml and the folders that it names.
    """
    return commands.status.check_folders(context, directory)


@command("vipsync plan my-study")
@ANY_FOLDER
def plan(context: Context, directory: Path | None) -> int:
    """Say what `vipsync run` would do next, and why; change nothing."""
    return commands.status.plan_folders(context, directory)


@command("vipsync run my-study", "vipsync run --once studies/")
@DIRECTORIES
@click.option(
    "--once", is_flag=True, help="Stop once nothing more can happen without you or a new file."
)
def run(context: Context, directories: tuple[Path, ...], *, once: bool) -> int:
    """Keep folders in sync with VIP: send, start, fetch results.

    It runs until Ctrl-C, and can be stopped at any time: what runs on VIP goes on there, and the next start brings its results.

    A DIR without settings.toml stands for the session folders in it, down to four levels. Without DIR: the session folder around you, else the folders of vipsync.toml.
    """
    return commands.run.run(context, directories, once=once)


@command("vipsync status my-study", "vipsync status --json studies/")
@DIRECTORIES
@click.option(
    "--json", "as_json", is_flag=True, help="For programs: one JSON document, a list of folders."
)
@click.option(
    "--all",
    "in_full",
    is_flag=True,
    help="Show the details of each folder instead of a table.",
)
def status(context: Context, directories: tuple[Path, ...], *, as_json: bool, in_full: bool) -> int:
    """Say how a study is getting on, or many of them.

    One line that answers the question, then details; many folders are a table: what needs you first, then what runs, what waits, and what is at rest. Without DIR: the session folder around you, else the folders of vipsync.toml.
    """
    return commands.status.status(context, directories, as_json=as_json, in_full=in_full)


@command("vipsync why my-study/inputs/sub-01.mrui")
@click.argument("path", type=click.Path(path_type=Path))
def why(context: Context, path: Path) -> int:
    """Say what is known of one file, and what comes next."""
    return commands.status.why_path(context, path)


@command("vipsync privacy my-study")
@FOLDER
@click.argument("path", metavar="[PATH]", required=False, type=click.Path(path_type=Path))
def privacy(context: Context, directory: Path, path: Path | None) -> int:
    """Show what in the inputs could name a person.

    The values themselves are shown on a terminal only.
    """
    return commands.privacy.show(context, directory, path)


@command("vipsync launch my-study", "vipsync launch my-study sub-03")
@FOLDERS_AND_CASES
@SURE
def launch(context: Context, words: tuple[str, ...], *, yes: bool) -> int:
    """Start cases that wait for you.

    Cases wait where settings.toml says when = "manual", where more jobs than confirm_above would start at once, and where a session was finished before they were started. A case is one input, or one set of inputs, that the pipeline runs on; without names, all that wait are meant.
    """
    named = commands.named.folders_and_cases(context, words)
    chosen = commands.run.Chosen("launch", named.cases)
    return commands.run.act_on_cases(context, named, chosen, sure=yes)


_MEANT = {
    "failed": "The cases that failed, were stopped, or lack an expected result",
    "outdated": "The cases that ran with older settings or shared files",
    "all": "All cases",
}


def _or(choice: str) -> Callable[[Function], Function]:
    """Return a flag that stands for the names of cases."""
    words = f"{_MEANT[choice]}, instead of names."
    return click.option(f"--{choice}", "which", flag_value=choice, help=words)


def _act(
    context: Context, command: str, words: tuple[str, ...], which: str | None, *, sure: bool
) -> int:
    named = commands.named.folders_and_cases(context, words)
    if bool(named.cases) == bool(which):
        raise click.UsageError("Name cases, or give one option that stands for them.")
    chosen = commands.run.Chosen(command, named.cases, which or "")
    return commands.run.act_on_cases(context, named, chosen, sure=sure)


@command("vipsync rerun my-study --failed")
@FOLDERS_AND_CASES
@_or("failed")
@_or("outdated")
@_or("all")
@SURE
def rerun(context: Context, words: tuple[str, ...], which: str | None, *, yes: bool) -> int:
    """Run cases again; show the number of jobs first.

    New results lie beside the old ones. A case is one input, or one set of inputs, that the pipeline runs on: `vipsync status` lists them.
    """
    return _act(context, "rerun", words, which, sure=yes)


@command("vipsync cancel my-study sub-03")
@FOLDERS_AND_CASES
@_or("all")
@SURE
def cancel(context: Context, words: tuple[str, ...], which: str | None, *, yes: bool) -> int:
    """Take cases out of the queue, or stop those that run.

    An execution (one run on VIP) may hold several cases, and is stopped as a whole: the others in it are named first.
    """
    return _act(context, "cancel", words, which, sure=yes)


@command("vipsync forget my-study")
@click.argument("words", metavar="[DIR]... [RESULT]...", nargs=-1)
@SURE_OF_ALL
def forget(context: Context, words: tuple[str, ...], *, yes: bool) -> int:
    """Stop asking about results that you deleted here.

    It is for results that VIP no longer has either: all of them, or those that you name.
    """
    named = commands.named.folders_and_cases(context, words)
    return commands.run.forget(context, named, sure=yes)


def _decide(
    context: Context,
    folders: tuple[Path, ...],
    command: str,
    done: str,
    by_run: str = "",
    *,
    sure: bool,
) -> int:
    asked = commands.run.Asked(command, done, by_run)
    return commands.run.decide(context, folders, asked, sure=sure)


@command("vipsync pause my-study")
@DIRECTORIES
@SURE_OF_ALL
def pause(context: Context, directories: tuple[Path, ...], *, yes: bool) -> int:
    """Send and start nothing more; results still come."""
    words = (
        "Paused: nothing is sent or started; results still come. `vipsync resume DIR` continues."
    )
    return _decide(context, directories, "pause", words, sure=yes)


@command("vipsync resume my-study")
@DIRECTORIES
@SURE_OF_ALL
def resume(context: Context, directories: tuple[Path, ...], *, yes: bool) -> int:
    """Send and start again after a pause."""
    words = "Resumed: `vipsync run DIR` sends files and starts cases again."
    by_run = "Resumed: the run that is under way sends files and starts cases again."
    return _decide(context, directories, "resume", words, by_run, sure=yes)


@command("vipsync finish my-study", "vipsync finish my-study --cancel")
@DIRECTORIES
@click.option("--kill", is_flag=True, help="Stop what still runs instead of waiting for it.")
@click.option(
    "--without",
    metavar="NAME",
    multiple=True,
    help="Finish without this result, which cannot be fetched; STATUS.txt names such results. May be given several times.",
)
@click.option(
    "--cancel", "stay", is_flag=True, help="Undo a finish, as long as nothing has been removed yet."
)
@SURE_OF_ALL
def finish(
    context: Context,
    directories: tuple[Path, ...],
    without: tuple[str, ...],
    *,
    kill: bool,
    stay: bool,
    yes: bool,
) -> int:
    """Bring every result here, then remove the data from VIP.

    The same as deleting ON_VIP.txt, and waiting until it is done. Inputs and results on this machine stay.
    """
    if not stay:
        return commands.run.finish(context, directories, without, kill=kill, sure=yes)
    if kill or without:
        raise click.UsageError("--cancel goes with no other option.")
    words = "The session stays open, unless its removal has begun: see `vipsync status DIR`."
    return _decide(context, directories, "finish --cancel", words, sure=yes)


@vipsync.group()
def station() -> None:
    """Decide about one study of a station.

    A station watches the folder into which a scanner exports, and makes a session of each study:
    `vipsync init DIR --station EXPORT`.
    """


def _said(word: str, words: str) -> None:
    """Make the command that says one thing of a study."""

    @station.command(word, help=words)
    @FOLDER
    @click.argument("study", metavar="STUDY")
    @click.pass_obj
    def said(context: Context, directory: Path, study: str) -> int:
        return commands.station.say(context, directory, word, study)


_said("complete", "Start a study as it is, though something required did not come.")
_said("skip", "Never start this study.")
_said("take-late", "Run a study again with what came after its launch.")
_said("merge", "Take studies for one: two of a folder, or of one person.")
_said("first", "Move a study up, before all that wait.")


@command("vipsync station who scanner-3t S0012", group=station)
@FOLDER
@click.argument("study", metavar="[STUDY]", required=False)
def who(context: Context, directory: Path, study: str | None) -> int:
    """Show whose studies are which; on a terminal only."""
    return commands.station.who(context, directory, study)


@command("vipsync pipelines", "vipsync pipelines cquest")
@click.argument("pattern", default="")
def pipelines(context: Context, pattern: str) -> int:
    """List the pipelines; describe the one that matches in full."""
    return commands.account.pipelines(context, pattern)


@command("vipsync page my-study", "vipsync page studies/")
@DIRECTORIES
@click.option("--address", help="HOST:PORT (default: 127.0.0.1:8484); port 0 takes a free one.")
def page(context: Context, directories: tuple[Path, ...], address: str | None) -> int:
    """Show folders on a live page in a browser.

    Cases can be started and sessions finished there, too.
    """
    return commands.page.page(context, directories, address)


@command("vipsync log my-study", "vipsync log -f", name="log")
@DIRECTORIES
@click.option("-f", "--follow", is_flag=True, help="Keep showing new lines until Ctrl-C.")
def log_command(context: Context, directories: tuple[Path, ...], *, follow: bool) -> int:
    """Show what happened in folders, in the order of time."""
    return commands.log.log(context, directories, follow=follow)


@command("vipsync notify --test", name="notify")
@click.option("--test", is_flag=True, help="Send a message to each receiver now.")
def notify_command(context: Context, *, test: bool) -> int:
    """Say where alerts go, by kind; `--test` sends one."""
    return commands.notify.notify(context, test=test)


SERVICE = ("install", "uninstall", "start", "stop", "status", "log")


@command("vipsync service install", "vipsync service", name="service")
@click.argument("action", type=click.Choice(SERVICE), default="status")
@click.option(
    "--system",
    is_flag=True,
    help="Print the files for a service of the whole machine; change nothing.",
)
@click.option("-f", "--follow", is_flag=True, help="With `log`: keep showing new lines.")
def service_command(context: Context, action: str, *, system: bool, follow: bool) -> int:
    """Keep folders in sync in the background, from boot on.

    The folders that vipsync.toml names, by systemd, launchd or Task Scheduler.
    """
    if not system:
        return commands.service.service(context, action, follow=follow)
    if action != "install":
        raise click.UsageError("--system goes with `install`, and only prints.")
    return commands.service.print_system(context)


@command("vipsync sessions", "vipsync sessions --json", name="sessions")
@click.option(
    "--json", "as_json", is_flag=True, help="For programs: one JSON document, a list of sessions."
)
def sessions_command(context: Context, *, as_json: bool) -> int:
    """List what this account has on VIP, with the folder of each."""
    return commands.sessions.sessions(context, as_json=as_json)


@command("vipsync remove /vip/Home/API/my-study", name="remove")
@click.argument("path")
@SURE
def remove_command(context: Context, path: str, *, yes: bool) -> int:
    """Remove a session from VIP whose folder is gone.

    What would go is shown first. For a session that has its folder: `vipsync finish`.
    """
    return commands.sessions.remove(context, path, sure=yes)


@command("vipsync demo", "vipsync demo --open", name="demo")
@click.argument("directory", metavar="[DIR]", type=DIRECTORY, default="vipsync-demo")
@click.option("--open", "opens", is_flag=True, help="Open the results in a browser at the end.")
def demo_command(context: Context, directory: Path, *, opens: bool) -> int:
    """Show a whole session in a minute, without an account.

    It runs on a VIP that is part of this program: no network is needed.
    """
    return commands.demo.demo(context.reporter, directory, opens=opens)


@command("vipsync local --port 8080")
@click.option("--root", type=DIRECTORY, default="vip-local", help="The folder for its data.")
@click.option("--host", default="127.0.0.1", help="An address of this machine only.")
@click.option(
    "--port",
    default=0,
    help="0: that of the last time, or a free one.",
    type=click.IntRange(0, 65535),
)
@click.option(
    "--pipelines",
    "folders",
    multiple=True,
    type=DIRECTORY,
    help="A folder with more pipelines (Boutiques descriptors).",
)
@click.option(
    "--world",
    "people",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of users with keys, and of groups with their pipelines.",
)
@click.option("--transfer-delay", type=float, help="Seconds that each transfer takes.")
@click.option("--removal-delay", type=float, help="Seconds until a removal happens.")
@click.option(
    "--poll",
    "job_poll",
    type=float,
    help="Seconds after which the state of jobs is looked at again.",
)
@click.option("--quota", "quota_user", type=int, help="Executions that may run at once.")
@click.option(
    "--max-size", "max_direct_transfer", type=int, help="Bytes that a download may have at most."
)
@click.option(
    "--faithful", is_flag=True, help="Wait as long, and set the same limits, as the real VIP."
)
def local(
    context: Context,
    /,
    root: Path,
    host: str,
    port: int,
    folders: tuple[Path, ...],
    people: Path | None,
    *,
    faithful: bool,
    **knobs: Any,
) -> int:
    """Serve a VIP on this machine, to try without an account."""
    given = {name: value for name, value in knobs.items() if value is not None}
    chosen = given | {"pipelines": folders}
    commands.demo.serve(context.reporter, root, (host, port), chosen, people, faithful=faithful)
    return 0
