"""Every error edgekit raises on purpose, and the exit code the command line gives it.

    EdgekitError                      1
    ├ InputError (ValueError)         2   what the user handed over cannot be used
    │ ├ ModelLoadError                    the model file, its code, or its inputs
    │ ├ CalibrationError                  the calibration set
    │ └ RecipeError                       recipe, edgekit.toml, or a flag
    ├ MissingExtraError (ImportError) 2   an optional dependency is absent
    ├ ShrinkError                     3   simplification or quantization failed
    │ └ TrainingError                     a training run could not go on
    │   └ NumericalError                  its loss, its gradients or its weights are no finite numbers
    ├ EmitError                       3   a file could not be written from the graph
    │ └ UnsupportedOpError                operators no runtime or no exporter has
    ├ CheckError                      4   a written file does not say what it should
    │ ├ ParityError
    │ └ BudgetError                       the best that was found misses a limit of the budget
    ├ StorageError (OSError)          5   disk full, folder not writable
    └ DeviceError                     5   a device cannot be reached, or cannot do what was asked of it
      ├ DeviceTimeoutError                it did not answer in time
      └ DeviceRefusalError                it is there, and cannot run this file in this way

A message says what was asked, what was found (value and unit) and where; `hint` says what to do.
"""

from __future__ import annotations


class EdgekitError(Exception):
    """Base of every deliberate error; `hint` is one sentence on what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InputError(EdgekitError, ValueError):
    """Something the user handed over cannot be used as it is."""

    exit_code = 2


class ModelLoadError(InputError):
    """The model file, the code that builds it, or its declared inputs."""


class CalibrationError(InputError):
    """The calibration or evaluation data."""


class RecipeError(InputError):
    """A recipe, an `edgekit.toml`, or a flag with an impossible value."""


class MissingExtraError(EdgekitError, ImportError):
    """An optional dependency is absent; the message names the extra that brings it."""

    exit_code = 2

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}', which is not installed",
            hint=f"install it with: pip install 'edgekit-ml[{extra}]'",
        )


class ShrinkError(EdgekitError):
    """A pass of simplification or quantization could not do its work."""

    exit_code = 3


class TrainingError(ShrinkError):
    """A training run could not go on; what it had reached is kept where a message says so."""


class NumericalError(TrainingError):
    """A loss, a gradient or a weight is NaN or infinite.

    Attributes:
        step: Optimizer steps done before it.
    """

    def __init__(self, message: str, *, step: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.step = step


class EmitError(EdgekitError):
    """A file could not be written from the graph."""

    exit_code = 3


class UnsupportedOpError(EmitError):
    """Operators that no runtime, or not the asked exporter, can run.

    Attributes:
        operators: `(operator, torch module path, reason)` for each offending node.
    """

    def __init__(self, operators: tuple[tuple[str, str, str], ...], *, hint: str = "") -> None:
        lines = "\n".join(f"  {op} in {module or '(model)'}: {why}" for op, module, why in operators)
        super().__init__(f"{len(operators)} operator(s) cannot be converted:\n{lines}", hint=hint)
        self.operators = operators


class CheckError(EdgekitError):
    """A written file does not say what it should."""

    exit_code = 4


class ParityError(CheckError):
    """Two things that must agree differ by more than the stated limit."""

    def __init__(self, message: str, *, measured: float, limit: float, hint: str = "") -> None:
        super().__init__(f"{message}: measured {measured:.6g}, limit {limit:.6g}", hint=hint)
        self.measured = measured
        self.limit = limit


class BudgetError(CheckError):
    """The best that was found misses a limit of the budget; its files are written and labelled."""


class StorageError(EdgekitError, OSError):
    """The output folder cannot be written: no space, no permission."""

    exit_code = 5


class DeviceError(EdgekitError):
    """A device cannot be reached, or cannot do what was asked of it.

    Attributes:
        device: URI of the device; "" when the message is about none in particular.
    """

    exit_code = 5

    def __init__(self, message: str, *, device: str = "", hint: str = "") -> None:
        super().__init__(f"{device}: {message}" if device else message, hint=hint)
        self.device = device


class DeviceTimeoutError(DeviceError):
    """A device did not answer in time."""


class DeviceRefusalError(DeviceError):
    """A device is there and well, but cannot run this file in this way; others may still run.

    Attributes:
        kind: What the agent calls it: "no-runtime", "no-provider", "no-counter", "refused", "bad-job"; or "emulated".
    """

    def __init__(self, message: str, *, kind: str = "refused", device: str = "", hint: str = "") -> None:
        super().__init__(message, device=device, hint=hint)
        self.kind = kind
