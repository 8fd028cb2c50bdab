"""Benchmarks: each is one command, measures its rivals in the same run, and keeps its numbers as JSON."""
