"""A station: an export directory becomes one session folder per study, by the same cycle as a session."""
