"""`python -m vipsync` is the command `vipsync`."""

from vipsync.cli import main

if __name__ == "__main__":
    main()
