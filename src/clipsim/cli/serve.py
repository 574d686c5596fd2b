"""`clipsim serve`: options → a server that answers until a signal ends it."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from clipsim.cli import parameters as shared
from clipsim.cli.collections import find_named_targets, report_progress
from clipsim.cli.output import NoticePrinter, messages, print_message, progress_bar
from clipsim.cli.parameters import argument, option, parse_size
from clipsim.cli.signals import clean_up_at_signal, reload_at_hangup, stop_at_first_signal
from clipsim.errors import MissingPackageError, UsageError, install_command, pluralise, printable
from clipsim.models.names import join_name

if TYPE_CHECKING:
    from clipsim.tasks.progress import Progress

MAX_SHOWN_FAILURES = 20
END_SECONDS = 1.0  # that the end waits for who reads standard error
MAX_TOKEN_CHARACTERS = 1_000_000  # of a file of tokens


@shared.with_run_options("model", "on_error")
def serve_command(
    paths: Annotated[list[str] | None, argument("PATHS", "Images and folders that clients may search.")] = None,
    host: Annotated[str, option("--host", "HOST", None, "The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("--port", "PORT", None, "The port; 0 for any free one.", min=0, max=65_535)] = 8080,
    model: Annotated[
        list[str] | None,
        shared.model_option("A model that requests may choose (repeatable). The first is the default."),
    ] = None,
    classifier: Annotated[
        str | None,
        option("--classifier", "FILE", None, "A file of `clipsim fit`: its labels answer rankings without texts."),
    ] = None,
    token_file: Annotated[
        str | None,
        option(
            "--token-file",
            "FILE",
            None,
            "A file of tokens, one a line; requests must carry one of them. CLIPSIM_TOKEN sets one too.",
        ),
    ] = None,
    unix_socket: Annotated[
        str | None, option("--unix-socket", "PATH", None, "Listen on a Unix socket, not on --host and --port.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, option("--allow-host", "HOST", None, "Another name of this server (repeatable).")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        option("--allow-origin", "ORIGIN", None, "A site whose pages may call, as https://example.org."),
    ] = None,
    max_body: Annotated[str, option("--max-body", "SIZE", None, "The largest body of a request.")] = "32MB",
    max_images: Annotated[int, option("--max-images", "N", None, "The most images of a request.", min=1)] = 32,
    queue: Annotated[int, option("--queue", "N", None, "The most requests that are not answered yet.", min=1)] = 256,
    timeout: Annotated[
        float | None,
        option("--timeout", "SECONDS", None, "How long a request may take until its answer begins."),
    ] = None,
    drain_seconds: Annotated[
        float, option("--drain-seconds", "SECONDS", None, "How long the end waits for what was begun.")
    ] = 30,
    root_path: Annotated[
        str, option("--root-path", "PATH", None, "The path that a proxy serves everything under, as /clip.")
    ] = "",
    log_format: Annotated[
        Literal["text", "json", "off"] | None,
        option(
            "--log-format", None, None, "How requests are logged on standard error. [default: text, off with --quiet]"
        ),
    ] = None,
    *,
    run: shared.Run,
) -> None:
    """Serve the API over HTTP, and a page that ranks and searches.

    Example: `clipsim serve photos/ --port 8080`
    """
    with ExitStack() as stack:
        form = log_format or ("off" if run.quiet else "text")
        announce = _announce_json if form == "json" else print_message
        notices = NoticePrinter(quiet=run.quiet, write=announce)
        listening = threading.Event()

        def reload() -> None:
            listening.wait()
            try:
                service.tokens.replace(new := _read_tokens(token_file))
                note(f"reloaded: {pluralise(len(new), 'token')}" if new else "reloaded")
            except UsageError as error:
                note(f"the tokens stay as they were: {error}")
            server.look_again()

        hangups = stack.enter_context(ExitStack())  # a signal may also come while all is imported and opened
        hangups.enter_context(reload_at_hangup(reload))
        try:
            from clipsim.server.access import AccessLog
            from clipsim.server.application import Service
            from clipsim.server.running import Server
            from clipsim.server.settings import ServerSettings, is_loopback
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("clipsim"):
                raise
            raise MissingPackageError(f"the server needs {error.name}", hint=install_command("serve")) from error
        from clipsim.embedding.embedder import Embedder
        from clipsim.server.served_images import ServedImages

        tokens = _read_tokens(token_file)
        if unix_socket is not None and (host, port) != ("127.0.0.1", 8080):
            raise UsageError("--unix-socket takes the place of --host and --port")
        if not tokens and unix_socket is None and not is_loopback(host):
            raise UsageError(
                f"--host {printable(host)}: others can reach it; give --token-file FILE, or set CLIPSIM_TOKEN"
            )
        settings = ServerSettings(
            host,
            port,
            tokens,
            tuple(allow_host or ()),
            tuple(allow_origin or ()),
            parse_size(max_body),
            max_images,
            queue,
            request_seconds=timeout,
            drain_seconds=drain_seconds,
            unix_socket=unix_socket,
            root_path=root_path.rstrip("/"),
        )
        of_one = {
            "--weights": run.weights,
            "--weights-key": run.weights_key,
            "--adapter": run.adapter,
            "--classifier": classifier,
        }
        for flag, value in of_one.items():
            if value is not None and len(model or ()) > 1:
                raise UsageError(f"{flag} goes with one --model")
        saved = None
        if classifier is not None:
            from clipsim.tasks.saved_files import read_classifier

            saved = read_classifier(classifier)
        images = ServedImages(find_named_targets(paths), paths) if paths else None
        embedders = {}
        names: list[str | None] = [*model] if model else [None]
        options, run_options = run.options(*names)
        alone = len(names) == 1  # what makes a start faster is for processes with one model
        for name, model_options in zip(names, options, strict=True):
            embedder = stack.enter_context(Embedder(model_options, run_options, own_process=alone))
            embedders[name or join_name(embedder.spec.reported_name, embedder.spec.reported_tag)] = embedder
            notices.print(embedder.notices)
        service = Service(list(embedders.items()), settings, saved)
        stack.enter_context(clean_up_at_signal(lambda: service.close(wait=False)))
        shown = stack.enter_context(ExitStack())
        bar = shown.enter_context(progress_bar(quiet=run.quiet))
        report = report_progress(bar, notices)

        def show(progress: Progress) -> None:  # what is skipped is listed once all is loaded, shortened
            report(replace(progress, failures=()))

        def loaded() -> None:
            shown.close()
            for served in service.models.values():
                notices.print(served.notices)
            collection = next(iter(service.models.values())).collection
            if collection is not None and not run.quiet:
                skipped = [f"{printable(failure.image)}: {failure.error}" for failure in collection.errors]
                for line in skipped[:MAX_SHOWN_FAILURES]:
                    announce("error", line)
                announce("note", f"{pluralise(len(collection), 'image')} to search, {len(skipped):,} skipped")

        def note(notice: str) -> None:  # also for who wants no notices of the models
            _in_thread(lambda: announce("note", printable(notice)))

        log = None
        if form != "off":
            log = AccessLog(form, _write_log)
            stack.callback(log.close)
        logging.getLogger("clipsim").addHandler(_BugHandler(form))
        server = Server(service, images, progress=show, on_loaded=loaded, on_notice=note, log=log)
        listening.set()
        with stop_at_first_signal(server.stop), hangups:
            _print_line(server.address, form)
            server.run()
        service.close()
        if log is not None:
            log.close()
        _in_thread(lambda: _print_line("stopped", form)).join(END_SECONDS)
    if threading.active_count() > 1:  # that load a model or decode: the interpreter would wait, or end beneath them
        sys.stderr.flush()
        os._exit(0)


def _in_thread(write: Callable[[], None]) -> threading.Thread:
    """Write in a thread: a reader of standard error that stalls holds up neither the event loop nor the end."""
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def _print_line(line: str, form: str) -> None:
    """Print where the server is, or that it has stopped; with --quiet, too."""
    if form == "json":
        _announce_json("note", line)
        return
    _write_text(f"clipsim serve: {line}\n")


def _announce_json(kind: str, message: str, **more: str) -> None:
    """Print what `print_message` prints as an object, which a reader tells from that of a request by its `message`."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    _write_text(json.dumps({"time": now, "level": kind, "message": message, **more}) + "\n")


class _BugHandler(logging.Handler):
    """Writes what the library logs, which are bugs with their tracebacks, in the form of the server's log."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self._json = form == "json"

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        kind, message, text = record.levelname.lower(), record.getMessage(), self.format(record)
        if self._json:
            traceback = text.removeprefix(message).strip()
            _in_thread(lambda: _announce_json(kind, message, traceback=traceback))
        else:
            _in_thread(lambda: _write_text(text + "\n"))


def _write_text(text: str) -> None:
    with suppress(OSError):  # standard error is closed, or its disk is full
        _write_log(text)


def _write_log(text: str) -> None:
    """Write whole lines to standard error; on a terminal, above its progress bar. Raises OSError."""
    from rich.text import Text

    if messages().is_terminal:
        with suppress(SystemExit):
            messages().print(Text(text), end="")
        return
    content = text.encode("utf-8", "backslashreplace")
    while content:  # a pipe may take a part of it
        content = content[os.write(2, content) :]


def _read_tokens(path: str | None) -> tuple[str, ...]:
    """The tokens of a file, or else of the environment; none where there are neither. Raises UsageError."""
    from clipsim.server.access import parse_tokens

    name = "CLIPSIM_TOKEN" if path is None else printable(path)
    try:
        if path is None:
            text = os.environ.get("CLIPSIM_TOKEN", "")
            return parse_tokens(text) if text else ()
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(MAX_TOKEN_CHARACTERS + 1)
        if len(text) > MAX_TOKEN_CHARACTERS:
            raise UsageError(f"it has more than {MAX_TOKEN_CHARACTERS:,} characters")
        return parse_tokens(text)
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"{name}: cannot read the tokens: {cause}") from error
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
