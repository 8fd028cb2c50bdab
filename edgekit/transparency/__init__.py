"""Transparency logs (C2SP tlog-tiles): everybody sees that everybody was shown the same releases."""
