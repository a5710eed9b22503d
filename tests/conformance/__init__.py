"""vipsync beside vip-client 0.1.10: the same scripts, hand-overs, outages, and vip-client's own tests."""
