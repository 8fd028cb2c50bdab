"""How long tests wait for peers."""

from __future__ import annotations

from edgekit.transport.patience import Patience

SHORT = Patience(connect_s=2.0, answer_s=3.0, silence_s=2.5, slowest_bytes_per_s=1024.0, window_s=2.0)
"""Seconds instead of minutes, and enough for a machine that does other things too."""
