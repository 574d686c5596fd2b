"""The entry point of `clipsim` and of `python -m clipsim`."""

from clipsim.signals import catch_signals


def main() -> None:
    """Run the command line; an interrupt while it is still being imported ends as quietly as a later one."""
    catch_signals()
    from clipsim.cli import main as run

    run()


if __name__ == "__main__":
    main()
