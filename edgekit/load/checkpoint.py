"""The front door: whatever the user hands over becomes a float ONNX file in a work folder.

    live module ────────────────────────────────┐
    torch.save, pickle, safetensors ─ weights ──┤ + factory
    torch.export program ─ audit ───────────────┼─ trace ─> workdir/model.onnx, checked against its source
    TorchScript ─ code scan ────────────────────┤
    ONNX ─ validation, frozen sizes ────────────┘

What a file is, is found by looking (`contents.py`); nothing in it is executed unless the user says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import StorageError
from edgekit.load.contents import Contents, contents_of
from edgekit.load.onnx_file import freeze_onnx
from edgekit.load.traced import Traced
from edgekit.types.finding import Finding, Severity
from edgekit.types.model import Model
from edgekit.types.spec import TensorSpec

FILE = "model.onnx"


def open_model(
    source: object,
    *,
    workdir: Path,
    inputs: Sequence[TensorSpec] = (),
    factory: str | None = None,
    trust_pickle: bool = False,
) -> Model:
    """Make a float ONNX file of a model.

    Args:
        source: A torch module (also a ScriptModule or ExportedProgram), or the path of a file.
        workdir: Folder for `model.onnx`, made if absent.
        inputs: Name, shape and dtype of each input, where the source does not say them.
        factory: `package.module:name` or `file.py:name`, which builds the module that a state dict belongs to.
        trust_pickle: Unpickle a whole module. This runs whatever the file says.

    Returns:
        The model; its `path` lies in `workdir`.

    Raises:
        ModelLoadError: The source cannot be used; the message says what it is, the hint what to do.
        UnsupportedOpError: Operators without an ONNX form, all of them listed.
        ParityError: The written file computes something else than the source.
        StorageError: `workdir` cannot be written.
    """
    target = workdir / FILE
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        return _open(source, target, inputs, factory or "", trust_pickle)
    except BaseException as error:
        for file in workdir.glob(f"{FILE}*"):
            file.unlink()
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise StorageError(  # without the path: the folder is temporary, and gone when this is read
                f"cannot write the float model to its work folder: {error.strerror or error}",
                hint="the work folder lies beside the output folder: free space there or choose another with --out",
            ) from error
        raise


def _open(source: object, target: Path, inputs: Sequence[TensorSpec], factory: str, trust_pickle: bool) -> Model:
    if isinstance(source, str | os.PathLike):
        return _open_file(Path(source).expanduser(), target, inputs, factory, trust_pickle)
    from edgekit.load.torch_sources import trace_live

    traced, origin = trace_live(source, inputs, target)
    return _model(type(source).__name__, target, traced, origin)


def _open_file(path: Path, target: Path, inputs: Sequence[TensorSpec], factory: str, trust_pickle: bool) -> Model:
    contents = contents_of(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    notes = []
    if factory and contents in (Contents.ONNX, Contents.PROGRAM, Contents.SCRIPT):
        message = f"{path.name} is {contents.value}, which is complete; the factory {factory} was not called"
        notes.append(Finding("factory-not-needed", message, Severity.NOTE))
    if contents is Contents.ONNX:
        return _model(
            path.stem, target, freeze_onnx(path, inputs, target), contents.value, digest=digest, notes=tuple(notes)
        )
    from edgekit.load.torch_sources import trace_file

    traced, origin, found = trace_file(path, contents, inputs, target, factory=factory, trust_pickle=trust_pickle)
    return _model(path.stem, target, traced, origin, digest=digest, notes=(*notes, *found))


def _model(
    name: str, target: Path, traced: Traced, origin: str, *, digest: str = "", notes: tuple[Finding, ...] = ()
) -> Model:
    found = (*notes, *traced.findings, *(traced.imported.findings if traced.imported else ()))
    return Model(name, target, traced.inputs, traced.outputs, origin, digest, found, traced.imported)
