"""What a device's files and commands mean: one file per family, each naming what it wants and reading it purely.

`FILES` are globs and `COMMANDS` words that the agent reads and runs unseeing. The readers never raise: what cannot be
understood is as if it were not there.
"""
