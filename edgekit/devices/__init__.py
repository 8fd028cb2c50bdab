"""Devices: how files reach a machine, how the agent runs there, and how its lines come back."""
