"""A page for all session folders: what status.json and outputs/ say; it writes nothing but requests."""
