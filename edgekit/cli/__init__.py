"""The command line: flags in, one library call, its result out. Nothing here decides anything about a model."""
