"""The same call in two processes: they share the data, end with the same weights, and one of them writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
from torch.utils.data import DataLoader, TensorDataset
from edgekit.training import checkpoints
from edgekit.training.checkpoints import state_digest
from edgekit.training.distilling import distill
from edgekit.training.settings import TrainingSettings
from tests.training.conftest import build, samples

torch.set_num_threads(1)
rank = int(os.environ["RANK"])
inputs, labels = samples()
seen, wrote = [], []
original = checkpoints._write
checkpoints._write = lambda *words: (wrote.append(1), original(*words))

class Watched(TensorDataset):
    def __getitem__(self, index):
        seen.append(index)
        return super().__getitem__(index)

def run(name, data, **more):
    student = build(4, seed=rank)
    result = distill(student, build(8, seed=3), data, epochs=2, checkpoint=f"{sys.argv[1]}/{name}",
        evaluation=lambda model: -float(model[0].weight.detach().square().sum()) - rank, **more)
    return [state_digest(student.state_dict()), result.history[-1].loss, result.history[-1].metric, result.steps]

loader = DataLoader(Watched(inputs, labels), batch_size=6, shuffle=True)
found = {"kd": run("kd", loader), "seen": sorted(set(seen))}
found["feature"] = run("feature", loader, loss="feature", task_loss=None)
found["joined"] = run("joined", loader, loss="kd+feature")
batches = list(zip(inputs.split(8), labels.split(8)))
found["list"] = run("list", batches, cache=f"{sys.argv[1]}/cache", settings=TrainingSettings(gradient_accumulation=2))
found["again"] = run("list", batches, settings=TrainingSettings(gradient_accumulation=2))
found["wrote"] = len(wrote)
Path(sys.argv[1], f"rank{rank}.json").write_text(json.dumps(found))
torch.distributed.destroy_process_group()
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("processes")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    launch = f"-m torch.distributed.run --nproc-per-node 2 --master-addr 127.0.0.1 --master-port {free_port()}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
    }
    process = subprocess.Popen(
        [sys.executable, *launch.split(), str(script), str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=240)
    finally:
        if process.poll() is None:
            process.terminate()  # the launcher ends its workers
            process.wait(30)
    assert process.returncode == 0, said
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("run", ["kd", "feature", "joined", "list"])
def test_both_end_with_the_same_weights_losses_and_scores(ranks: list[dict[str, object]], run: str) -> None:
    """Also batch-norm statistics, with students that began apart and evaluations that differ."""
    assert ranks[0][run] == ranks[1][run]


def test_the_data_was_shared_out(ranks: list[dict[str, object]]) -> None:
    steps = ranks[0]["kd"][3]  # type: ignore[index]
    assert steps == 2 * 4, "8 batches of 6, two at a time"
    assert all(len(rank["seen"]) < 48 for rank in ranks)  # type: ignore[arg-type]
    assert set(ranks[0]["seen"]) | set(ranks[1]["seen"]) == set(range(48))  # type: ignore[call-overload]


def test_only_the_first_writes_checkpoints_and_both_resume(ranks: list[dict[str, object]]) -> None:
    assert ranks[0]["wrote"] == 8
    assert ranks[1]["wrote"] == 0
    assert all(rank["again"] == rank["list"] for rank in ranks)
