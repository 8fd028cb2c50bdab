"""What the written files really say: every file is run on its runtime and held against the float model."""
