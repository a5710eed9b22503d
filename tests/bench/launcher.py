"""Run a command from a small process, and print: seconds, processor time, kilobytes at the most, exit code.

On Linux the peak memory of a command is at least that of the process that starts it.
"""

import os
import subprocess
import sys
import time

began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
worked = usage.ru_utime + usage.ru_stime
print(seconds, worked, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
