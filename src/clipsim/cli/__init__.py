"""The command line: Typer options in, one `api` call, rendered text out, exit status.

- `app`: all commands put together, and how a run ends
- `rank`, `embed`, `evaluate`, `threshold`, `compare`, `models`, `export`, `cache`, `doctor`: the commands
- `parameters`: options that several commands share
- `parsing`: Typer commands that start fast
- `output`, `progress`, `exit_status`, `signals`: what a terminal, a pipe and a shell get to see
- `diagnosis`: what `clipsim doctor` checks
"""


def main() -> None:
    """Run the command line; an interrupt while it is still being imported ends it as quietly as a later one."""
    from clipsim.cli.signals import catch_signals

    catch_signals()
    from clipsim.cli.app import run

    run()
