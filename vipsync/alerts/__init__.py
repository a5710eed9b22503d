"""Tell people who are not there what needs them, what failed, what is done and what stopped."""
