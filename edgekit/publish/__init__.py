"""Publishing: the writer of channels."""
