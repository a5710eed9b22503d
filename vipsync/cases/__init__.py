"""From files, settings and a descriptor to cases and executions. Every module here is pure."""
