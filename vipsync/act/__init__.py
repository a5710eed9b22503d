"""Carry out what a plan holds, and say what came of it."""
