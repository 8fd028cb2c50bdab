"""Reports of a benchmark: JSON, Markdown, JUnit, the GitHub action's format, and one self-contained page."""
