"""Portable runtimes: Python and wheels for a bare ARM device, and the emulated ARM machines that tests run on."""
