"""Nodes: machines that install, check and run what a channel says is current."""
