"""VIP's REST API: one method per endpoint, typed, without policy."""
