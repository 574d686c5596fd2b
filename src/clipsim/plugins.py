"""An unknown name → the engine or output format that an installed package adds under it, by its entry points."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeVar

from clipsim.errors import ClipsimError, PluginError, first_line, printable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Kind = Literal["engine", "format"]  # of `clipsim.engines` and `clipsim.formats`
Result = TypeVar("Result")


def list_plugins(kind: Kind) -> tuple[str, ...]:
    """The names that installed packages add, sorted. All installed packages are looked at, which takes a while."""
    return tuple(sorted({entry.name for entry in _find_entries(kind)}))


def _find_entries(kind: Kind) -> list[EntryPoint]:
    """The entry points of all installed packages; one whose metadata cannot be read has none."""
    from importlib.metadata import distribution, distributions, entry_points

    group = f"clipsim.{kind}s"
    with suppress(Exception):  # a damaged package, which need not have to do with clipsim
        return list(entry_points(group=group))
    entries: dict[str, list[EntryPoint]] = {}
    for package in distributions():
        with suppress(Exception):  # by name, which finds the version that is imported
            entries[package.name] = list(distribution(package.name).entry_points.select(group=group))
    return [entry for added in entries.values() for entry in added]


class Plugin:
    """What a package adds under a name that `list_plugins` has.

    Whatever fails in it raises PluginError, which names the package; a ClipsimError and a lack of memory are passed on.
    """

    def __init__(self, kind: Kind, name: str) -> None:
        self._kind, self._name = kind, name
        entries = [entry for entry in _find_entries(kind) if entry.name == name]
        self._packages = " and ".join(map(_package, entries))
        if len(entries) != 1:
            raise self.error("more than one package adds it" if entries else "no package adds it any more")
        self._entry = entries[0]

    def run(self, *arguments: object, returns: type[Result]) -> Result:
        """Load the function that the entry point names, and call it; it has to return an object of a type."""
        result = self.call(lambda: self._entry.load()(*arguments))
        if not isinstance(result, returns):
            raise self.error(f"it returns {type(result).__name__}, not {returns.__name__}")
        return result

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function of the package."""
        try:
            return function()
        except (ClipsimError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            raise self.error(f"{type(error).__name__}: {first_line(error)}") from error

    def error(self, cause: str) -> PluginError:
        """The error for something that is wrong with the package."""
        return PluginError(f"{self._packages}: {cause}".removeprefix(": "), parameter=self._kind, value=self._name)


def _package(entry: EntryPoint) -> str:
    dist = entry.dist
    return printable(entry.value if dist is None else f"{dist.name} {dist.version}")
