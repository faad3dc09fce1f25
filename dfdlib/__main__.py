"""``python -m dfdlib``: the command line, for launchers that start modules."""

from dfdlib.cli import main

main()
