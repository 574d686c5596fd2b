"""A command line that almost runs → the one that does: texts without an option, other names of commands and options."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from clipsim.errors import UsageError, join_words
from clipsim.inputs.paths import STANDARD_INPUT, has_image_suffix
from clipsim.inputs.urls import is_table, is_tar, is_url

# what other tools for images, and for models and packages, call these commands and options
_OTHER_COMMANDS = {
    "find": "search",
    "query": "search",
    "grep": "search",
    "similar": "search",
    "score": "rank",
    "compute": "rank",
    "label": "rank",
    "match": "rank",
    "classify": "rank",
    "similarity": "rank",
    "zeroshot": "rank",
    "zero-shot": "rank",
    "dedup": "duplicates",
    "dedupe": "duplicates",
    "dupes": "duplicates",
    "dups": "duplicates",
    "organize": "sort",
    "organise": "sort",
    "move": "sort",
    "keywords": "tag",
    "revert": "undo",
    "restore": "undo",
    "encode": "embed",
    "embeddings": "embed",
    "why": "explain",
    "heatmap": "explain",
    "saliency": "explain",
    "attention": "explain",
    "summary": "overview",
    "summarize": "overview",
    "describe": "overview",
    "cluster": "overview",
    "groups": "overview",
    "test": "evaluate",
    "eval": "evaluate",
    "accuracy": "evaluate",
    "benchmark": "evaluate",
    "calibrate": "threshold",
    "diff": "compare",
    "list": "models",
    "ls": "models",
    "model": "models",
    "pull": "models pull",
    "download": "models pull",
    "use": "models use",
    "show": "models show",
    "export": "models export",
    "server": "serve",
    "web": "serve",
    "api": "serve",
    "check": "doctor",
    "info": "doctor",
}
_OTHER_OPTIONS = {
    "--prompt": "--text",
    "--prompts": "--text",
    "--query": "--text",
    "--label": "--text",
    "--labels": "--text",
    "--class": "--text",
    "--classes": "--text",
    "-i": "--image",
    "-k": "--top",
    "-n": "--top",
    "--limit": "--top",
    "--count": "--top",
    "--num-images": "--top",
    "--threshold": "--min-similarity",
    "--pretrained": "--weights",
    "--checkpoint": "--weights",
    "--gpu": "--device",
    "--jobs": "--workers",
    "-j": "--workers",
    "--silent": "--quiet",
    "--print0": "--null",
    "--since": "--after",
    "--until": "--before",
    "--without": "--minus",
    "--not": "--minus",
    "-y": "--yes",
    "--apply": "--yes",
}
_FORMATS = ("--csv", "--html", "--jsonl")
_QUERY_OPTIONS = ("-t", "--text", "--text-file", "--image")
_RANK_OPTIONS = ("--sort-by", "--top-images")  # which search lacks
_MAX_PATHS = 3  # in a suggestion; where there are more, it has their pattern


def names_input(word: str) -> bool:
    """Whether a positional argument names something to read: a file, a folder, a pattern, an address, or `-`."""
    return word == STANDARD_INPUT or os.path.lexists(word) or is_url(word) or _matches(word) or _looks_like_path(word)


def split_text(words: Sequence[str]) -> tuple[list[str], str | None]:
    """The positional arguments of a search without any query → where to search, and the one that is the text.

    Exactly one names nothing on the disk; where several do, or none, there is no text among them.
    """
    texts = [word for word in words if not names_input(word)]
    if len(texts) != 1:
        return list(words), None
    return [word for word in words if word != texts[0]], texts[0]


def missing_texts(command: str, words: Sequence[str], message: str, remedy: str) -> UsageError:
    """The error of a command without texts: with the one that was meant, if some positional arguments are texts."""
    texts = [word for word in words if not names_input(word)]
    if not texts:
        return UsageError(message, hint="; ".join([remedy, *_other_reading(command, words)]))
    paths = [word for word in words if word not in texts] or ([] if command == "search" else ["."])
    if command == "search" and not paths:
        message = f"no file or folder is called {join_words(texts[:1])}"
    meant = _suggest([command, *_shorten(paths), *_as_options(texts), *_without(sys.argv[2:], words)])
    return UsageError(message, hint=f"did you mean: {meant}")


def suggest_command(arguments: Sequence[str], commands: Iterable[str]) -> str | None:
    """The command line that was likely meant by one whose command does not exist."""
    word, *rest = arguments
    if "--help" in rest or "-h" in rest:
        return None
    command = None if names_input(word) else _find_command(word, list(commands))
    if command not in (None, "search", "rank"):
        return _suggest([*command.split(), *rest])
    arguments = rest if command else arguments
    start = next((number for number, part in enumerate(arguments) if part.startswith("-")), len(arguments))
    words, options = arguments[:start], arguments[start:]
    texts = [part for part in words if not names_input(part)]
    paths = _shorten([part for part in words if part not in texts])
    names = [part.partition("=")[0] for part in options]
    queries = sum(name in _QUERY_OPTIONS for name in names)
    if queries and texts:
        return None
    if not queries and not texts:
        if word.lower() == "similar" and paths and has_image_suffix(paths[-1]):
            return _suggest(["search", *paths[:-1], "--image", paths[-1], *options])
        texts = ["TEXT"]
    if command is None:
        for_rank = queries + len(texts) > 1 and paths and "--image" not in names
        command = "rank" if for_rank or any(name in _RANK_OPTIONS for name in names) else "search"
    if command == "search" and len(texts) == 1:
        return _suggest(["search", *paths, *texts, *options])
    return _suggest([command, *paths, *_as_options(texts), *options])


def suggest_option(command: str, arguments: Sequence[str], word: str, options: Sequence[str]) -> str | None:
    """The command line that was likely meant by one with an option that does not exist, or without a command."""
    if command == "clipsim" and word in _QUERY_OPTIONS:
        return _suggest(["search", *arguments])
    longer = [option for option in options if option.startswith(word)]
    near = [_OTHER_OPTIONS[word]] if word in _OTHER_OPTIONS else longer
    if len(near) != 1:
        harmless = [option for option in options if option not in ("--yes", "--help")]
        near = get_close_matches(word, harmless, 1, 0.7)
    if word in _FORMATS and "--format" in options:
        near = [f"--format={word.lstrip('-')}"]
    elif not near or near[0] not in options:
        return None
    corrected = [
        near[0] + part[len(word) :] if part == word or part.startswith(f"{word}=") else part for part in arguments
    ]
    return f"{command} {join_words(corrected)}"


def _other_reading(command: str, words: Sequence[str]) -> list[str]:
    """What the last of several paths may have been: a folder is named like the text, or the image is the query."""
    word = words[-1] if words else ""
    paths = [path for path in words if path != word]
    if not paths and command != "search":
        return []
    options = _without(sys.argv[2:], words)
    if os.path.isdir(word) and not (os.sep in word or word.startswith(".")):  # noqa: PTH112 (a Path raises for long names)
        meant = _suggest([command, *_shorten(paths), "-t", word, *options])
        return [f"if {join_words([word])} is the text: {meant}"]
    if command == "search" and has_image_suffix(word) and not any(map(has_image_suffix, paths)):
        meant = _suggest([command, *paths, "--image", word, *options])
        return [f"if the image is the query: {meant}"] if os.path.isfile(word) else []  # noqa: PTH113 (likewise)
    return []


def _find_command(word: str, commands: Sequence[str]) -> str | None:
    """The command that a word is another name or a slip of."""
    lowered = word.lower()
    if lowered in commands:
        return lowered
    near = get_close_matches(lowered, commands, 1, 0.7)
    return _OTHER_COMMANDS.get(lowered) or (near[0] if near else None)


def _as_options(texts: Iterable[str]) -> list[str]:
    return [part for text in texts for part in ("-t", text)]


def _without(arguments: Sequence[str], words: Iterable[str]) -> list[str]:
    """The arguments without the positional ones.

    >>> _without(["photos", "--sort-by", "cat", "--top", "3", "cat"], ["photos", "cat"])
    ['--sort-by', 'cat', '--top', '3']
    """
    left = list(arguments)
    for word in words:
        where = [number for number, part in enumerate(left) if part == word]
        after_no_option = [number for number in where if not (number and left[number - 1].startswith("-"))]
        for number in (after_no_option or where)[:1]:
            del left[number]
    return left


def _shorten(paths: Sequence[str]) -> list[str]:
    """Paths, or where there are many the pattern that the shell made them of."""
    if len(paths) > _MAX_PATHS:
        folder = glob.escape(paths[0].rpartition(os.sep)[0])
        suffix = "." + paths[0].rpartition(".")[2]
        for pattern in (f"*{suffix}", "*"):
            pattern = f"{folder}{os.sep}{pattern}" if folder else pattern
            if sorted(paths) == sorted(glob.glob(pattern)):
                return [pattern]
    return list(paths)


def _suggest(words: Sequence[str]) -> str:
    return join_words(["clipsim", *words])


def _matches(word: str) -> bool:
    return glob.has_magic(word) and next(glob.iglob(word, recursive=True), None) is not None


def _looks_like_path(word: str) -> bool:
    """A name with a suffix, or in a folder, that is not there: a slip in a path, not a text.

    >>> _looks_like_path("photos/cat.jpg"), _looks_like_path("a cat."), _looks_like_path("black/white photo")
    (True, False, False)
    """
    if " " in word:
        return False
    return os.sep in word or (os.altsep or os.sep) in word or has_image_suffix(word) or is_tar(word) or is_table(word)
