"""The whole engine under faults, by seeds: each seed is a story, lived in all weathers."""
