"""The agent: the one file that is pushed to a device. Standard library only, Python 3.8 or newer."""
