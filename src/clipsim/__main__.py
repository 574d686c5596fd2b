"""`python -m clipsim`."""

from clipsim.cli import main

main()
