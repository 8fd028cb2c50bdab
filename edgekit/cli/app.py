"""`edgekit`: the group of verbs, and the one place where an error becomes a message and an exit code.

A verb is imported when it is listed or run; what is heavy (torch, onnx, a runtime) is imported inside the verb's
function. So `edgekit --help` answers at once, also on a device that has none of them.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

import click

from edgekit.cli.terminal import Terminal
from edgekit.cli.verb_group import VerbGroup
from edgekit.errors import EdgekitError
from edgekit.version import __version__

VERBS: Mapping[str, str] = {
    "compress": "edgekit.cli.compress:compress",
    "demo": "edgekit.cli.demo:demo",
    "inspect": "edgekit.cli.inspect:inspect",
    "bench": "edgekit.cli.bench:bench",
    "keys": "edgekit.cli.keys:keys",
    "pack": "edgekit.cli.pack:pack",
    "verify": "edgekit.cli.verify:verify",
    "publish": "edgekit.cli.publish:publish",
    "channel": "edgekit.cli.channel:channel",
    "share": "edgekit.cli.share:share",
    "log": "edgekit.cli.log:log",
    "node": "edgekit.cli.node:node",
    "operators": "edgekit.cli.operators:operators",
    "completion": "edgekit.cli.completion:completion",
}
"""verb -> where its command is, in the order of the help."""

INTERRUPTED = 130
TERMINATED = 143


class Terminated(SystemExit):
    """SIGTERM arrived; unwinds like an exception, so that unfinished files are removed."""


EXIT_CODES = """\b
Exit codes:
  0    done
  1    an error of edgekit's own
  2    a flag, the model or the data cannot be used
  3    the model cannot be compressed, or a file not be written from it
  4    a written file does not say what it should, a measurement is invalid, or a gate fails
  5    no space, the folder is not writable, or a device or node cannot be used
  6    something is not what a trusted key says it should be; nothing was installed
  7    bytes could not be moved
  130  interrupted
  143  terminated
"""


@click.group(
    cls=VerbGroup,
    verbs=VERBS,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="edgekit")
def edgekit() -> None:
    """Make a trained torch model small and fast for the devices people own.

    int8 ONNX and int8 TFLite from one quantized graph, checked on the real runtimes.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows `edgekit`; None takes the process's own.

    Returns:
        The exit code. An exception that is no EdgekitError is a bug and keeps its traceback.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    terminal = Terminal(shlex.join(("edgekit", *words)))
    try:
        code = edgekit.main(words, prog_name="edgekit", standalone_mode=False, obj=terminal)
    except EdgekitError as error:
        terminal.show_error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        terminal.note("interrupted, nothing was left half-written")
        return INTERRUPTED
    except Terminated:
        terminal.note("terminated, nothing was left half-written")
        return TERMINATED
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """Entry point of the `edgekit` script."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run())


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through the open blocks, so that unfinished files are removed."""
    raise Terminated(TERMINATED)
