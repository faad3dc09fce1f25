"""``python -m dfdlib``: the command line, for launchers that start modules."""

from dfdlib.cli.app import main

main()
