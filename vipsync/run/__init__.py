"""Keep folders in step with VIP for as long as a process runs."""
