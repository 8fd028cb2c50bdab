"""A tiny vision transformer, for digits of 8x8."""
