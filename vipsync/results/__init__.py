"""Results for people: a page with pictures, joined tables, and where each result came from."""
