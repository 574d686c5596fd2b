"""The entry point of `clipsim` and of `python -m clipsim`."""

import sys


def main() -> None:
    """Run the command line; an interrupt while it is still being imported ends as quietly as a later one."""
    try:
        from clipsim.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
