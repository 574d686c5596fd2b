"""The command line: Typer options in, one `api` call, rendered text out, exit status.

- `app`: all commands put together, and how a run ends
- `rank`, `embed`, `search`, `index`, `duplicates`, `evaluate`, `threshold`, `compare`, `models`, `remove`, `export`,
  `cache`, `serve`, `doctor`: the commands
- `parameters`, `completion`: options that several commands share, and what the shell completes them to
- `quantities`: sizes and ages as a user writes them
- `rank_output`, `model_table`: what of a ranking and of the list of models is printed
- `page`, `preview`: what an HTML page can hold, and how pictures are shown in the terminal
- `many`: what the commands over many images share; `threads`: how many threads NumPy takes for them
- `parsing`: Typer's commands, without the imports that make them slow
- `output`, `progress`, `exit_status`, `signals`: what terminals, pipes and shells get
- `diagnosis`: what `clipsim doctor` reports and checks
"""


def main() -> None:
    """Run the command line; an interrupt during its imports ends it as quietly as a later one."""
    import gc

    from clipsim.cli.signals import catch_signals

    catch_signals()
    gc.set_threshold(50_000)  # imports make a million objects that stay: looking through them takes 7 % of a start
    from clipsim.cli.app import run

    run()
