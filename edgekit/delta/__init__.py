"""Deltas: a file from its predecessor, by the smallest of several codecs, verified before and after."""
