"""Seals: keys, signatures, and the envelopes that carry them."""
