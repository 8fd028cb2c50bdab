"""The job for golden inputs: one line that the real agent understands."""

from __future__ import annotations

import json
from pathlib import Path

from edgekit.agent.main import SCHEMA
from edgekit.runtime.golden_job import Subject, golden_job
from edgekit.types.spec import TensorSpec

IMAGE = TensorSpec("image", (1, 3, 4, 4), permutation=(0, 2, 3, 1))
LABEL = TensorSpec("label", (1, 5))


def job(runtime: str, **settings) -> dict:
    subject = Subject(Path("model"), runtime, (IMAGE,), (LABEL,), **settings)
    line = golden_job(subject, inputs=Path("in.npz"), outputs="out.npz")
    assert line.endswith("\n")
    assert line.count("\n") == 1
    return json.loads(line)


def test_it_is_of_the_agents_schema_and_names_files_that_are_found_from_anywhere():
    found = job("onnxruntime", threads=3, provider="cuda")
    (subject,) = found["subjects"]
    assert (found["schema"], found["inputs"]) == (SCHEMA, str(Path("in.npz").absolute()))
    assert subject["file"] == str(Path("model").absolute())
    assert (subject["threads"], subject["provider"], subject["border"]) == (3, "cuda", {})
    assert found["golden"] == {"outputs": ["out.npz"]}
    assert found["steady"] is None


def test_a_tflite_files_axes_are_told():
    (subject,) = job("litert")["subjects"]
    assert subject["border"]["inputs"] == [{"name": "image", "permutation": [0, 2, 3, 1]}]
    assert subject["border"]["outputs"] == [{"name": "label", "permutation": None}]
