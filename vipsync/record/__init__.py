"""What is written down of what was seen and done: rows, and the ledger that holds them."""
