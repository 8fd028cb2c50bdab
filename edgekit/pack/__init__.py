"""Packing: from the folder that a compression leaves to a signed bundle."""
