"""Units of systemd: for one person, and for a facility (systemd.service(5), systemd.exec(5)). PURE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vipsync.service.program import ABOUT, NAME, Program

UNIT = f"{NAME}.service"

SETTINGS = "/etc/vipsync/vipsync.toml"
KEY = "/etc/vipsync/api_key"
ALERTS = "/etc/vipsync/alerts"
ACCOUNT = "vipsync"

_HOMES = ("/home", "/root", "/run/user")

_SERVICE = """\
Type=notify
NotifyAccess=main
Restart=always
RestartSec=30
RestartPreventExitStatus=2 4
TimeoutStartSec=infinity
TimeoutStopSec=60
WatchdogSec=10min
TimeoutAbortSec=10"""
"""2: nothing is named that it could work on; 4: no key. A restart would not help."""

_CONFINED = """\
UMask=0007
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM"""


def user_unit(program: Program) -> str:
    """Return the unit of a person's own systemd."""
    program.check()
    lines = [
        "[Unit]",
        f"Description={ABOUT}",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        f"ExecStart={_line(program.words)}",
        _SERVICE,
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def system_unit(program: Program) -> str:
    """Return the unit of a machine: an account of its own, which can do nothing but its work."""
    program.check()
    return "\n".join(_system_lines(program)) + "\n"


def _system_lines(program: Program) -> Iterator[str]:
    yield from ("[Unit]", f"Description={ABOUT}", "StartLimitIntervalSec=0")
    yield from ("Wants=network-online.target", "After=network-online.target")
    if program.folders:
        yield f"RequiresMountsFor={_paths(program.folders)}"
    yield from ("", "[Service]", f"ExecStart={_line(program.words, '%d/api_key')}", _SERVICE)
    yield from (f"User={ACCOUNT}", f"Group={ACCOUNT}", "StateDirectory=vipsync")
    yield from (f"LoadCredential=api_key:{KEY}", f"WorkingDirectory=/var/lib/{NAME}", _CONFINED)
    if program.portal:
        yield f"Environment={_quoted(f'VIP_PORTAL_URL={program.portal}')}"
    yield from _reachable(program)
    yield from ("", "[Install]", "WantedBy=multi-user.target")


def _reachable(program: Program) -> Iterator[str]:
    """Yield what of the disk may be written, and what of people's homes may be seen at all."""
    if program.folders:
        yield f"ReadWritePaths={_paths(program.folders)}"
    seen = [path for path in program.code if _is_private(path)]
    worked_in = [path for path in program.folders if _is_private(path)]
    yield f"ProtectHome={'tmpfs' if seen or worked_in else 'yes'}"
    if seen:
        yield f"BindReadOnlyPaths={_paths(seen)}"
    if worked_in:
        yield f"BindPaths={_paths(worked_in)}"


def _is_private(path: str) -> bool:
    return any(path == home or path.startswith(f"{home}/") for home in _HOMES)


def _line(words: Iterable[str], *key: str) -> str:
    """Return a command line; `key` is the file that `--api-key-file` names, as systemd spells it."""
    *before, last = (_quoted(word.replace("$", "$$")) for word in words)
    return " ".join([*before, *(["--api-key-file", *key] if key else []), last])


def _paths(paths: Iterable[str]) -> str:
    return " ".join(_quoted(path) for path in paths)


def _quoted(text: str) -> str:
    """Return a word as systemd reads it as one, with nothing in it that stands for something else."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    safe = all(c.isalnum() or c in "/._-+=@%$:,~" for c in plain)
    return plain if plain and safe else f'"{plain}"'


STEPS = f"""\
# 1. An account of its own, in the group of the folders, so that it may write there.
sudo useradd --system --user-group --home-dir /var/lib/{NAME} --shell /usr/sbin/nologin {ACCOUNT}
sudo usermod -aG {{groups}} {ACCOUNT}
# 2. The key: type or paste it, end with Enter and Ctrl-D. Only root can read it; the service is handed it.
sudo install -D -m 0600 /dev/stdin {KEY}
# 3. The folders: this account's file is copied.
sudo install -D -m 0644 {{settings}} {SETTINGS}
{{alerts}}# 4. The unit.
sudo tee /etc/systemd/system/{UNIT} >/dev/null <<'END_OF_UNIT'
{{unit}}END_OF_UNIT
# 5. From now on, and at boot.
sudo systemctl daemon-reload
sudo systemctl enable --now {UNIT}
# Later: systemctl status {NAME} · journalctl -u {NAME} -f · sudo systemctl restart {NAME}
"""
"""What a person with root's rights does, in this order."""

OTHER_ALERTS = f"""\
# Alerts: the service does not see {{urls}}. Write urls = "{ALERTS}" under [notify] into
# {SETTINGS}, and the addresses into that file: one a line, end with Ctrl-D.
sudo install -D -m 0600 -o {ACCOUNT} /dev/stdin {ALERTS}
"""
"""Where alerts go by a variable of a shell, or by a file of somebody's home."""

OWN_ALERTS = f"""\
# Alerts: {{urls}} must be readable for the account {ACCOUNT}, and for nobody else.
sudo chown {ACCOUNT} {{file}} && sudo chmod 600 {{file}}
"""
