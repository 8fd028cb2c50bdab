"""Writes files from the quantized graph; decides nothing, translates only. One module per format."""
