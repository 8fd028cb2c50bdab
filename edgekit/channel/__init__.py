"""Channels as their readers see them: TUF metadata that says what is current, and whose signature counts."""
