"""Bundles: read, and verified."""
