"""Runtimes that do a model's worst: modules in the place of `onnxruntime`, found first by the model's process."""

from __future__ import annotations

import textwrap
from pathlib import Path

SESSION = """
import os, sys, time
import numpy

class Info:
    def __init__(self, name, shape):
        self.name, self.shape, self.type = name, shape, "tensor(float)"

class Meta:
    custom_metadata_map = {}

class SessionOptions:
    def add_session_config_entry(self, key, value): pass

class Binding:
    def bind_output(self, name): pass
    def bind_cpu_input(self, name, array): self.fed = array
    def copy_outputs_to_cpu(self): return results(self.fed)

class InferenceSession:
    def __init__(self, file, options, providers): loaded(file)
    def get_modelmeta(self): return Meta
    def get_inputs(self): return [Info("x0", [1, 3, 16, 16])]
    def get_outputs(self): return [Info(name, [1, 8]) for name in names()]
    def get_providers(self): return ["CPUExecutionProvider"]
    def io_binding(self): return Binding()
    def run_with_iobinding(self, binding): run()

def set_default_logger_severity(level): pass
def get_available_providers(): return ["CPUExecutionProvider"]
def loaded(file): pass
def names(): return ["output"]
def run(): pass
def results(fed): return [numpy.zeros((1, 8), numpy.float32)]
"""


def write_stand_in(folder: Path, deed: str) -> Path:
    """A folder for PYTHONPATH with an `onnxruntime` that does as told.

    Args:
        folder: To write it in.
        deed: Functions that take the place of `loaded`, `names`, `run`, `results`.
    """
    package = folder / "onnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SESSION + textwrap.dedent(deed))
    return folder
