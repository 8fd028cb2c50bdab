"""Files for single targets: how each is quantized and written, which is best here, what a target makes of a file."""
