"""The race: every tool compresses the same float files with the same data, and all files are scored alike."""
