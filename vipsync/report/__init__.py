"""What people see on a terminal, in a pipe or a notebook; only `reporter` prints."""
