"""A task of Windows' Task Scheduler, as its schema orders it ([MS-TSCH] 2.5). PURE."""

from __future__ import annotations

from subprocess import list2cmdline
from xml.sax.saxutils import escape

from vipsync.service.program import ABOUT, NAME, Program

TASK = NAME

_TEXT = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{about}</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Enabled>true</Enabled>
    </BootTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <LogonType>S4U</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{command}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""


def task(program: Program, user: str) -> bytes:
    """Return the task in UTF-16, as `schtasks /XML` reads it; `user` has its domain before it."""
    program.check()
    command, *arguments = program.words
    text = _TEXT.format(
        about=escape(ABOUT),
        user=escape(user),
        command=escape(command),
        arguments=escape(list2cmdline(arguments)),
    )
    return text.encode("utf-16")
