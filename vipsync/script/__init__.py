"""VipSession: the same phases for scripts, in the words of vip-client."""
