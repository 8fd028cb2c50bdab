"""`edgekit completion SHELL`: the script that teaches a shell to complete `edgekit`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
HOW = """\b
Where to put it:
  edgekit completion bash >> ~/.bashrc
  edgekit completion zsh >> ~/.zshrc
  edgekit completion fish > ~/.config/fish/completions/edgekit.fish
"""


@click.command(epilog=HOW)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes edgekit in a shell."""
    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(context.find_root().command, {}, "edgekit", "_EDGEKIT_COMPLETE").source())
