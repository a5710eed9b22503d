"""vipsync beside vip-client, curl and the limit of the machine: `python -m tests.bench`."""
