"""Every error edgekit raises on purpose, and the exit code the command line gives it.

    EdgekitError                      1
    ├ InputError (ValueError)         2   what the user handed over cannot be used
    │ ├ ModelLoadError                    the model file, its code, or its inputs
    │ ├ CalibrationError                  the calibration set
    │ ├ RecipeError                       recipe, edgekit.toml, or a flag
    │ └ KeyFileError                      a key cannot be read, or its passphrase is wrong
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
    ├ DeviceError                     5   a device cannot be reached, or cannot do what was asked of it
    │ ├ DeviceTimeoutError                it did not answer in time
    │ └ DeviceRefusalError                it is there, and cannot run this file in this way
    ├ NodeError                       5   this node cannot run what the channel offers
    │ ├ NoVariantError                    no variant fits its hardware
    │ ├ SelfTestError                     the model does not answer here as its publisher says it should
    │ └ NodeStateError                    its folder holds no intact model, or is in use
    ├ TrustError                      6   something is not what a trusted key says it should be; nothing was installed
    │ ├ MalformedError                    a bundle, a manifest or metadata breaks its format
    │ ├ SignatureError                    no signature, too few, or none by a trusted key
    │ ├ DigestError                       bytes are not those that were named
    │ ├ ExpiredError                      metadata is older than its signers allow
    │ ├ RollbackError                     a version goes backwards
    │ ├ UnknownTargetError                the channel has no such model, or nobody may sign it under that name
    │ ├ ProofError                        a proof of a transparency log, or a checkpoint, does not hold
    │ ├ WitnessError                      too few witnesses signed what a log shows
    │ ├ SplitViewError                    a log shows one history to some and another to others
    │ └ ClockError                        this machine's clock went backwards
    └ TransportError                  7   bytes could not be moved
      ├ TransferError                     a server refused, or the connection broke
      │ └ AbsentError                     it has no such file
      ├ LengthError                       more bytes, or fewer, than there should be
      ├ StalledError                      too slow to wait for
      └ SourcesError                      every source failed; names each with its fault

A message says what was asked, what was found (value and unit) and where; `hint` says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping


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


class KeyFileError(InputError):
    """A key cannot be read, or its passphrase is wrong; the message never holds key material."""


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


class NodeError(EdgekitError):
    """This node cannot run what the channel offers."""

    exit_code = 5


class NoVariantError(NodeError):
    """No variant of the bundle fits this machine.

    Attributes:
        reasons: variant -> why it does not fit.
    """

    def __init__(self, message: str, *, reasons: Mapping[str, str], hint: str = "") -> None:
        lines = "".join(f"\n  {variant}: {why}" for variant, why in reasons.items())
        super().__init__(f"{message}{lines}", hint=hint)
        self.reasons = dict(reasons)


class SelfTestError(NodeError):
    """The model does not answer here as its publisher says it should."""


class NodeStateError(NodeError):
    """The node's folder holds no intact model, or another process works in it."""


class TrustError(EdgekitError):
    """Something is not what a trusted key says it should be; nothing was installed."""

    exit_code = 6


class MalformedError(TrustError):
    """A bundle, a manifest or metadata breaks its format."""


class SignatureError(TrustError):
    """No signature, too few, or none by a trusted key."""


class DigestError(TrustError):
    """Bytes are not those that were named."""


class ExpiredError(TrustError):
    """Metadata is older than its signers allow."""


class RollbackError(TrustError):
    """A version goes backwards, or lies below the oldest one still allowed."""


class UnknownTargetError(TrustError):
    """The channel has no such model, or nobody may sign it under that name."""


class ProofError(TrustError):
    """A proof of a transparency log does not hold, or its checkpoint is not one of that log."""


class WitnessError(TrustError):
    """Fewer witnesses than the policy demands have signed what a log shows."""


class SplitViewError(TrustError):
    """A log signed two histories that cannot both be true: the evidence is in the two heads.

    Attributes:
        heads: The two signed checkpoints, as text.
    """

    def __init__(self, message: str, *, heads: tuple[str, str], hint: str = "") -> None:
        shown = "\n\n".join(head.rstrip("\n") for head in heads)
        super().__init__(f"{message}:\n\n{shown}\n", hint=hint)
        self.heads = heads


class ClockError(TrustError):
    """This machine's clock went backwards since the last update, so that nothing can be known to be current."""


class TransportError(EdgekitError):
    """Bytes could not be moved.

    Attributes:
        source: URL of the source or the destination; "" when the message is about none in particular.
    """

    exit_code = 7

    def __init__(self, message: str, *, source: str = "", hint: str = "") -> None:
        super().__init__(f"{source}: {message}" if source else message, hint=hint)
        self.source = source


class TransferError(TransportError):
    """A server refused, or the connection broke.

    Attributes:
        status: HTTP status; 0 where there was none.
    """

    def __init__(self, message: str, *, source: str = "", status: int = 0, hint: str = "") -> None:
        super().__init__(message, source=source, hint=hint)
        self.status = status


class AbsentError(TransferError):
    """The source has no such file."""


class LengthError(TransportError):
    """More bytes, or fewer, than there should be.

    Attributes:
        limit_bytes: How many there should have been, at most or exactly.
    """

    def __init__(self, message: str, *, limit_bytes: int, source: str = "", hint: str = "") -> None:
        super().__init__(message, source=source, hint=hint)
        self.limit_bytes = limit_bytes


class StalledError(TransportError):
    """A source is too slow to wait for."""


class SourcesError(TransportError):
    """Every source failed.

    Attributes:
        faults: URL of the source -> what was wrong with it.
    """

    def __init__(self, message: str, *, faults: Mapping[str, str], hint: str = "") -> None:
        lines = "".join(f"\n  {source}: {fault}" for source, fault in faults.items())
        super().__init__(f"{message}{lines}", hint=hint)
        self.faults = dict(faults)
