"""The command line: Typer options in, one task, rendered text out, exit status.

- `app`: all commands put together, and how a run ends
- `rank`, `embed`, `search`, `duplicates`, `overview`, `explain`, `sort`, `tag`, `evaluate`, `fit`, `threshold`,
  `models`, `export`, `vectors`, `cache`, `serve`, `doctor`: the commands; `index` is in `embed`, `undo` in `tag`,
  `compare` in `threshold`
- `parameters`: options that several commands share
- `plans`: how a plan for files is printed, and carried out with `--yes`
- `collections`: what the commands over many images share
- `preview`: how images are shown in the terminal, and what an HTML page can hold
- `parsing`: Typer's commands, without the imports that make them slow
- `first_words`: the command that was meant by one that does not exist, or has its texts without an option
- `output_file`: `-o` and `--open`
- `output`, `exit_status`, `signals`: what terminals, pipes and shells get
"""


def main() -> None:
    """Run the command line; an interrupt during its imports ends it as quietly as a later one."""
    import atexit
    import gc

    from clipsim.cli.signals import catch_signals

    catch_signals()
    gc.set_threshold(100_000)  # imports make a million objects that stay: looking through them takes 7 % of a start
    atexit.register(gc.freeze)  # nor does the interpreter look through them as it ends: 15 % of a run on cached vectors
    from clipsim.cli.app import run

    run()
