"""vipsync beside vip-client 0.1.10: the same scripts, and sessions that change hands."""
