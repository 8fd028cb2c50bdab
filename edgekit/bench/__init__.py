"""Benchmarks: jobs for the agent, statistics of what it answers, and the gate that judges a change."""
