"""The one registry: a built-in table of names, and entry points with which other packages add to it.

A family of plugs is a table `name -> "package.module:attribute"`. Nothing is imported until a name is asked for, and
nothing registers itself by being imported. Another package adds a plug with an entry point of the family's group:

    [project.entry-points."edgekit.exporters"]
    my-format = "my_package.my_exporter:emit"
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from edgekit.errors import EdgekitError, InputError

P = TypeVar("P")


@dataclass(frozen=True)
class Family(Generic[P]):
    """Plugs of one kind; `P` is the protocol they all follow.

    Attributes:
        group: Entry-point group, for example "edgekit.exporters".
        builtin: name -> "package.module:attribute" of those that come with edgekit.
        needs: Attributes that a plug must have to follow `P`, checked when it is loaded.
    """

    group: str
    builtin: Mapping[str, str]
    needs: tuple[str, ...] = ("__call__",)

    def names(self) -> tuple[str, ...]:
        """Every name that can be loaded: the built-in ones in their order, then the others, sorted."""
        return (*self.builtin, *sorted(name for name in self._added() if name not in self.builtin))

    def load(self, name: str) -> P:
        """The plug of that name.

        A built-in name cannot be taken over by another package: what a recipe says has one meaning everywhere.

        Raises:
            InputError: No plug has that name.
            EdgekitError: The plug cannot be imported, or does not follow the protocol.
        """
        added = {} if name in self.builtin else self._added()  # to look through what is installed takes 9 ms
        if name not in self.builtin and name not in added:
            near = difflib.get_close_matches(name, self.names(), n=1)
            guess = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(
                f"no plug of '{self.group}' is called '{name}'", hint=f"{guess}known: {', '.join(self.names())}"
            )
        place = self.builtin[name] if name in self.builtin else added[name].value
        plug = _resolve(place, f"plug '{name}' of '{self.group}'")
        absent = [need for need in self.needs if not hasattr(plug, need)]
        if absent:
            raise EdgekitError(f"plug '{name}' of '{self.group}' ({place}) lacks {', '.join(absent)}")
        return cast(P, plug)

    def _added(self) -> Mapping[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}


def _resolve(place: str, asked: str) -> object:
    """The attribute at "package.module:attribute"; our own import errors are not disguised."""
    module, _, attribute = place.partition(":")
    try:
        found: object = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        if isinstance(error, EdgekitError):
            raise
        raise EdgekitError(f"{asked} cannot be imported from {place}: {error}") from error
    return found
