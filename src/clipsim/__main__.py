"""The entry point of `clipsim` and `python -m clipsim`."""

from clipsim.cli import main

if __name__ == "__main__":
    main()
