"""settings.toml and the API key: read, checked, and written once for a new folder."""
