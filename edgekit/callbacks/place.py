"""Where a net sits inside the module that a training library trains, and how another one gets there."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from edgekit.errors import InputError


class Place(Protocol):
    """One net among the modules that are trained."""

    @property
    def net(self) -> nn.Module:
        """The one that is there now."""
        ...

    def put(self, net: nn.Module) -> None:
        """Put another one there, on the same device and in the same mode."""
        ...


class Attribute:
    """A net that is an attribute of its owner, or of a module inside it.

    Attributes:
        owner: The module that is trained.
        path: Dotted path of the net in it.
    """

    def __init__(self, owner: nn.Module, path: str) -> None:
        """Find the net.

        Raises:
            InputError: There is no module of this name; the message lists those there are.
        """
        self.owner, self.path = owner, path
        children = ", ".join(name for name, _ in owner.named_children()) or "none"
        try:
            found = owner.get_submodule(path) if path else None
        except AttributeError:
            found = None
        if found is None:
            raise InputError(
                f"{type(owner).__name__} has no module '{path}'; it has: {children}",
                hint="name the attribute that holds the net: EdgekitCallback(schedule, module='net')",
            )

    @property
    def net(self) -> nn.Module:
        """The module of that name."""
        return self.owner.get_submodule(self.path)

    def put(self, net: nn.Module) -> None:
        """Replace it."""
        parent, _, name = self.path.rpartition(".")
        holder = self.owner.get_submodule(parent)
        setattr(holder, name, alike(net, self.net))


def alike(net: nn.Module, other: nn.Module) -> nn.Module:
    """A net moved to the device and put into the mode of another."""
    net.to(first_tensor(other).device)
    return net.train(other.training)


def first_tensor(net: nn.Module) -> Tensor:
    """A parameter or buffer, which says where the net is.

    Raises:
        InputError: It has none, so there is nothing to compress.
    """
    found = next((value for value in (*net.parameters(), *net.buffers())), None)
    if found is None:
        raise InputError(f"{type(net).__name__} has no parameters: there is nothing to train or compress")
    return found
