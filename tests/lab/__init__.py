"""What tests are made of. Each module says what it builds; none of them is a test.

builders      rows, sessions, memories and moments, each with defaults
pipelines     descriptors of pipelines
fake_vip      a small VIP for the planner alone, which bears witness of what was done
simulation    one folder, its process and that VIP on one clock; holds the promises at each step
archives      tar files, packed or not
bench         the embedded VIP, session folders and the loop over them, in process on one clock
scans         small files as scanners write them, with fields that a test fills
stations      a station on the bench, its export, and files as scanners write them
dicom         DICOM files
acting        the embedded VIP and what one action needs
scripts       the embedded VIP and the session of a script
findings      results that people look at, and a session that makes them
statuses      what a folder on the bench says of itself
served        the embedded VIP on a real port, and `vipsync` as a process
pages         the page of folders whose status is made up
browser       a real Chromium, and what axe-core finds
short_waits   `vipsync` with short waits, for processes in real time
effects       effects that last, counted; killed before or after one of them
full_disk     a disk that refuses writes
mounts        real disks
memory        how much memory was held at most
outages       a VIP that is away for a while
"""
