"""One `Report`, three readers: report.json for programs, report.md for people, the terminal for right now."""
