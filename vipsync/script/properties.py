"""The properties of a script's session: set once, checked as early as possible, kept in the backup."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar, overload

from vipsync.errors import (
    BadAnswer,
    GenericVipError,
    KeyMissing,
    PropertyMissing,
    PropertyTypeError,
    PropertyValueError,
    Unreachable,
    VipsyncError,
)
from vipsync.model import Descriptor, VipPath
from vipsync.names import home_of
from vipsync.record.backup import Backup
from vipsync.results.gallery import Gallery
from vipsync.script import checks
from vipsync.script.account import Account
from vipsync.script.backup import (
    inventory,
    local_backup,
    owns_inputs,
    refuses_names,
    vip_backup,
    workflows_in,
)
from vipsync.script.inputs import Dataset, Given, given_settings, shown
from vipsync.script.words import Say, SessionReport

T = TypeVar("T")
Owner = TypeVar("Owner", bound="SessionProperties")

BACKUP_LOCATIONS = ("local", "vip", None)


class Once(Generic[T]):
    """A property that is set once; `del` frees it, as setting it to None does."""

    def __init__(self, check: Callable[[object], T], doc: str) -> None:
        self._check = check
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, session: None, owner: type) -> Once[T]: ...
    @overload
    def __get__(self, session: SessionProperties, owner: type) -> T | None: ...
    def __get__(self, session: SessionProperties | None, owner: type) -> Once[T] | T | None:
        return self if session is None else session.values.get(self._name)  # type: ignore[return-value]

    def __set__(self, session: SessionProperties, value: object) -> None:
        if value is None:
            self.__delete__(session)
        else:
            session.set_once(self._name, self._check(value))

    def __delete__(self, session: SessionProperties) -> None:
        session.values.pop(self._name, None)


class SessionProperties:
    """What a session is: which data set, which pipeline, which settings, and where all of it lies."""

    account_of_all: ClassVar[Account | None] = None
    verbose_by_default: ClassVar[bool] = True
    _BACKUP_LOCATION: ClassVar[str | None] = "local"
    """Where sessions are backed up, and looked for: "local", "vip", or None for nowhere.

    The name is vip-client's: scripts set it, and it counts at each step, also for earlier sessions.
    """

    session_name = Once(checks.session_name, "A name to identify this session.")
    pipeline_id = Once(checks.pipeline_id, "The pipeline, as `name/version`.")
    local_input_dir = Once(checks.local_dir, "The data set on this machine.")
    vip_input_dir = Once(checks.vip_dir, "The data set on VIP.")
    vip_output_dir = Once(checks.vip_dir, "The results on VIP.")

    def __init__(
        self,
        session_name: str | None = None,
        input_dir: str | os.PathLike[str] | None = None,
        pipeline_id: str | None = None,
        input_settings: object = None,
        output_dir: str | os.PathLike[str] | None = None,
        verbose: bool | None = None,
        *,
        privacy: str | None = None,
        account: Account | None = None,
        say: Say | None = None,
        **others: object,
    ) -> None:
        """Set properties; a session that was saved in `output_dir` is resumed."""
        self.values: dict[str, object] = {}
        if privacy is not None:
            self.privacy = privacy
        self._full: dict[str, Path] = {}
        self._places: dict[str, VipPath] = {}
        self._account = account or self.account_of_all
        self._restored = False
        self._own_inputs = True
        self._told: tuple[str, ...] = ()
        self._gallery = Gallery()
        loud = self.verbose_by_default if verbose is None else verbose
        self._report = SessionReport(say, verbose=loud)
        unknown = others.keys() - _OTHERS
        if unknown:
            raise PropertyTypeError(f"VipSession has no property {', '.join(sorted(unknown))}.")
        named = bool(session_name or output_dir)
        if session_name:
            self.session_name = session_name
        local_output_dir = output_dir or others.pop("local_output_dir", None)
        self._settle_place(local_output_dir, named=named)
        given = {"pipeline_id": pipeline_id, "input_dir": input_dir}
        self._take({**others, **given, "input_settings": input_settings})

    def __repr__(self) -> str:
        return f"<VipSession {self.session_name!r}>"

    def _settle_place(self, output_dir: object, *, named: bool) -> None:
        """Find the outputs, and take up what was saved there; give the defaults to the rest."""
        explicit = self.session_name
        if self.session_name is None:
            self.session_name = default_name(datetime.now().astimezone())
        if output_dir is None:
            output_dir = f"vip_outputs/{self.session_name}"
        self._set_place("local_output_dir", checks.local_dir(output_dir))
        backup = self._saved() if named else None
        if backup:
            if explicit is None:
                del self.session_name
            self._restore(backup)
        home = home_of(self.session_name or "")
        self.values.setdefault("vip_input_dir", f"{home}/INPUTS")
        self.values.setdefault("vip_output_dir", f"{home}/OUTPUTS")

    def _saved(self) -> Backup | None:
        if self._BACKUP_LOCATION is None:
            return None
        found = local_backup(self.outputs)
        if found is None and self._BACKUP_LOCATION == "vip" and self._account:
            found = vip_backup(self._account.client, f"{home_of(self.session_name or '')}/OUTPUTS")
        return found

    def _take(self, given: Mapping[str, object]) -> None:
        """Take what a script gives at the start: it goes before defaults and before what was saved."""
        for name, value in given.items():
            if value:
                delattr(self, name)
                setattr(self, name, value)

    def _restore(self, backup: Backup) -> None:
        """Take up a saved session; raise PropertyValueError where it has another name."""
        if self.session_name not in (None, backup.session_name):
            raise PropertyValueError(
                f"The backup data have a different session name: {backup.session_name!r} "
                f"VS {self.session_name!r}.",
                "Please change the session name or provide another output directory.",
            )
        self.values["session_name"] = backup.session_name
        if "vip_input_dir" not in self.values:
            self._own_inputs = owns_inputs(backup)
        for name in ("pipeline_id", "vip_input_dir", "vip_output_dir"):
            if value := getattr(backup, name):
                self.values.setdefault(name, value)
        if backup.local_input_dir and "local_input_dir" not in self.values:
            self._set_place("local_input_dir", Path(backup.local_input_dir).as_posix())
        if backup.input_settings:
            self.values.setdefault("input_settings", given_settings(backup.input_settings))
        if refuses_names(backup):
            self.values.setdefault("privacy", checks.REFUSE)
        self.values["workflows"] = inventory(backup.workflows)
        self._restored = True
        self._report.line("<< Session restored from its output directory")

    # properties that need more than a check

    def set_once(self, name: str, value: object) -> None:
        """Set a property; raise PropertyValueError where it has another value already."""
        before = self.values.get(name)
        if before is not None and self._differs(name, before, value):
            raise PropertyValueError(f"'{name}' is already set for session: {self.session_name}.")
        try:
            if name == "local_input_dir":
                self._set_place(name, str(value))
            else:
                self.values[name] = value
            self._check()
        except VipsyncError:
            self.values.pop(name) if before is None else self.values.update({name: before})
            raise
        self._own_inputs |= name == "vip_input_dir"  # a script may choose any place

    def _differs(self, name: str, before: object, value: object) -> bool:
        if name == "input_settings":
            return self._shown(before) != self._shown(value)  # type: ignore[arg-type]
        if name == "local_input_dir":
            return self._full[name] != Path(os.path.abspath(str(value)))  # noqa: PTH100
        return before != value

    def _set_place(self, name: str, text: str) -> None:
        """Keep a local folder as it is written, and as it leads from the working folder of now."""
        self.values[name] = text
        self._full[name] = Path(os.path.abspath(text))  # noqa: PTH100 (links stay as they are)

    @property
    def input_dir(self) -> str | None:
        """The data set on this machine: another name of `local_input_dir`."""
        return self.local_input_dir

    @input_dir.setter
    def input_dir(self, value: object) -> None:
        self.local_input_dir = value
        if self.local_input_dir and not self._full["local_input_dir"].exists():
            self._report.line(
                f"(!) `input_dir` does not exist in the local file system: {self.local_input_dir}. "
                "This may raise an error later."
            )

    @input_dir.deleter
    def input_dir(self) -> None:
        del self.local_input_dir

    @property
    def local_output_dir(self) -> str | None:
        """The results on this machine, and the backup."""
        return self.values.get("local_output_dir")  # type: ignore[return-value]

    @local_output_dir.setter
    def local_output_dir(self, value: object) -> None:
        if value is None:
            del self.local_output_dir
            return
        text, before = checks.local_dir(value), self.local_output_dir
        if before is not None and before != text:
            raise PropertyValueError(
                f"'local_output_dir' is already set for session: {self.session_name}."
            )
        if before is None:
            self._set_place("local_output_dir", text)
            if backup := self._saved():
                self._restore(backup)

    @local_output_dir.deleter
    def local_output_dir(self) -> None:
        self.values.pop("local_output_dir", None)

    output_dir = local_output_dir

    @property
    def input_settings(self) -> dict[str, object] | None:
        """All parameters of the pipeline, files as they are on VIP."""
        given = self.given
        return None if given is None else self._shown(given)

    @input_settings.setter
    def input_settings(self, value: object) -> None:
        if value is None:
            del self.input_settings
        else:
            self.set_once("input_settings", checks.input_settings(value, self.data))

    @input_settings.deleter
    def input_settings(self) -> None:
        self.values.pop("input_settings", None)

    @property
    def workflows(self) -> dict[str, dict[str, object]]:
        """The inventory of executions: status, start and outputs of each."""
        return self.values.get("workflows") or {}  # type: ignore[return-value]

    @workflows.setter
    def workflows(self, value: object) -> None:
        found = inventory(workflows_in(checks.workflows(value)))
        if self.workflows and found != self.workflows:
            raise PropertyValueError(
                f"'workflows' is already set for session: {self.session_name}."
            )
        self.values["workflows"] = found

    @workflows.deleter
    def workflows(self) -> None:
        self.values.pop("workflows", None)

    @property
    def privacy(self) -> str:
        """What becomes of inputs that name somebody: "tell" or "refuse", which the backup keeps."""
        return str(self.values.get("privacy", checks.TELL))

    @privacy.setter
    def privacy(self, value: object) -> None:
        self.values["privacy"] = checks.privacy(value)

    @property
    def verbose(self) -> bool:
        """True: this session says what it does."""
        return self._report.verbose

    @verbose.setter
    def verbose(self, value: bool) -> None:
        self._report.verbose = bool(value)

    def share(self, session: SessionProperties, *, pipeline: bool, settings: bool) -> None:
        """Take the inputs of another session, and where wanted its pipeline and settings."""
        self.values["vip_input_dir"] = session.vip_input_dir
        self._own_inputs = False
        if session.local_input_dir:
            self.values["local_input_dir"] = session.local_input_dir
            self._full["local_input_dir"] = session._full["local_input_dir"]
        self._places = dict(session._places)
        if pipeline and session.pipeline_id:
            self.values["pipeline_id"] = session.pipeline_id
        if settings and session.given is not None:
            self.values["input_settings"] = session.given

    def __copy__(self) -> Self:
        """Return a session of its own: what is set in one is not set in the other."""
        return deepcopy(self)

    # what follows from them

    def require_places(self) -> None:
        """Raise PropertyMissing where a property was deleted without which no step can be taken."""
        for name in ("session_name", "vip_input_dir", "vip_output_dir"):
            if not self.values.get(name):
                raise PropertyMissing(
                    f"Session {self.session_name!r} has no `{name}`: set it again."
                )

    @property
    def given(self) -> Given | None:
        """The settings as they were given."""
        return self.values.get("input_settings")  # type: ignore[return-value]

    @property
    def outputs(self) -> Path:
        """The folder of the results, whatever the working folder is now."""
        if "local_output_dir" not in self.values:
            self._set_place("local_output_dir", f"vip_outputs/{self.session_name}")
        return self._full["local_output_dir"]

    @property
    def data(self) -> Dataset:
        """The data set, here and on VIP."""
        local = self._full["local_input_dir"] if self.local_input_dir else None
        return Dataset(local, VipPath(self.vip_input_dir or ""), self._places)

    @property
    def account(self) -> Account:
        """The account under whose key this session runs; raise KeyMissing before any handshake."""
        self._account = self._account or self.account_of_all
        if self._account is None:
            raise KeyMissing("There was no handshake with VIP.", "Call VipSession.init(api_key=…).")
        return self._account

    def descriptor(self) -> Descriptor | None:
        """Return the pipeline's definition, None where no pipeline is set."""
        return self.account.descriptor(self.pipeline_id) if self.pipeline_id else None

    def _shown(self, given: Given) -> dict[str, object]:
        descriptor = None
        if self.pipeline_id and (self._account or self.account_of_all):
            with suppress(VipsyncError):
                descriptor = self.descriptor()
        return shown(given, self.data, descriptor)

    def _check(self) -> None:
        """Check what is known by now; where VIP cannot be asked, that is left to the next step."""
        if self._account or self.account_of_all:
            with suppress(Unreachable, BadAnswer, GenericVipError):
                self.check_settings()

    def check_settings(self) -> None:
        """Raise where pipeline, settings and data set do not go together."""
        if self.pipeline_id is None:
            return
        checks.check_pipeline(self.pipeline_id, self.account.pipelines)
        given, descriptor = self.given, self.descriptor()
        if given is not None and descriptor is not None:
            checks.check_settings(given, descriptor, self.data)
            checks.check_files(given, descriptor, self.data)


_OTHERS = {"local_input_dir", "local_output_dir", "vip_input_dir", "vip_output_dir", "workflows"}


def default_name(now: datetime) -> str:
    """Return a name for a session that was given none."""
    return f"VipSession-{now:%y%m%d-%H%M%S}-{secrets.token_hex(2)[:3]}"
