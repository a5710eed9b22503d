"""What to do next, from one snapshot. Every module here is pure."""
