"""Structured pruning: which channels are coupled, which matter least, how they are cut and written down."""
