"""Confirming: one bundle in every system at once, each address recomputed, each proof checked."""
