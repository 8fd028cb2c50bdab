"""A run that is killed, interrupted or damaged goes on, and ends where an undisturbed run ends, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from edgekit.errors import InputError, NumericalError, TrainingError
from edgekit.training.distilling import distill
from edgekit.training.fit import finetune
from edgekit.training.settings import TrainingSettings
from tests.interruption import hear_interrupts

Net = Callable[..., nn.Sequential]
Loader = DataLoader[tuple[Tensor, ...]]

SCRIPT = """
import sys, time
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from edgekit.training.distilling import distill
from edgekit.training.settings import TrainingSettings
from tests.training.conftest import build, samples

torch.set_num_threads(1)
inputs, labels = samples()

class Noisy(TensorDataset):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + 0.1 * torch.randn_like(image), label

data = Noisy(inputs, labels)
sampler = WeightedRandomSampler(torch.linspace(1, 2, 48), 48)
loader = DataLoader(data, batch_size=8, sampler=sampler)
pause = float(sys.argv[3])

class Slow:
    def stage(self, name, total=None):
        return self
    def __enter__(self):
        return self
    def __exit__(self, *_):
        return None
    def advance(self, n=1):
        time.sleep(pause)

result = distill(
    build(4), build(8, seed=3), loader, epochs=4, loss="feature", checkpoint=sys.argv[1], progress=Slow(),
    evaluation=lambda model: float(model[0].weight.detach().sum()),
    settings=TrainingSettings(checkpoint_steps=2, ema=0.9), augment=lambda batch: batch + 0.1 * torch.randn_like(batch),
)
save_file({name: value.contiguous() for name, value in result.model.state_dict().items()}, sys.argv[2])
print(result.history, result.steps)
"""


def start(folder: Path, out: Path, pause: float = 0.0) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(out), str(pause)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )


def wait_for_checkpoint(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while not any(int(file.stem.split("-")[1]) >= step for file in folder.glob("step-*.safetensors")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Tensor]]:
    """What an undisturbed run printed, and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder / "run", folder / "whole.safetensors")
    said, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return said, load_file(folder / "whole.safetensors")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    whole: tuple[str, dict[str, Tensor]], tmp_path: Path, sign: signal.Signals
) -> None:
    """With dropout, augmentation, a random data set and a sampler that draws from the global generator."""
    stopped = start(tmp_path / "run", tmp_path / "run.safetensors", pause=0.3)
    wait_for_checkpoint(stopped, tmp_path / "run", 8)  # in the middle of the second of four epochs
    stopped.send_signal(sign)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert sign is signal.SIGKILL or "KeyboardInterrupt" in said
    assert not (tmp_path / "run.safetensors").exists()
    again, _ = start(tmp_path / "run", tmp_path / "run.safetensors").communicate(timeout=200)
    found = load_file(tmp_path / "run.safetensors")
    assert again == whole[0]
    assert all(torch.equal(value, found[name]) for name, value in whole[1].items())


def test_a_finished_run_is_only_read(net: Net, loader: Loader, tmp_path: Path) -> None:
    first = finetune(net(4), loader, epochs=2, checkpoint=tmp_path)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    second = finetune(net(4, seed=9), loader, epochs=2, checkpoint=tmp_path)
    assert second.history == first.history
    assert [finding.code for finding in second.findings] == ["training-resumed"]
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == files
    assert len(files) == 2, "only the newest two are kept"


def test_a_checkpoint_of_another_run_is_refused(net: Net, loader: Loader, tmp_path: Path) -> None:
    distill(net(4), net(8), loader, steps=2, checkpoint=tmp_path)
    with pytest.raises(InputError, match=r"of another run: settings\.lr was 0\.001, now it is 0\.5"):
        distill(net(4), net(8), loader, steps=2, checkpoint=tmp_path, settings=TrainingSettings(lr=0.5))
    with pytest.raises(InputError, match=r"model\.0\.weight was \[4, 1, 3, 3\], now it is \[6, 1, 3, 3\]"):
        distill(net(6), net(8), loader, steps=2, checkpoint=tmp_path)
    with pytest.raises(InputError, match=r"objective\.teacher was"):
        distill(net(4), net(8, seed=4), loader, steps=2, checkpoint=tmp_path)
    with pytest.raises(InputError, match=r"objective\.loss was kd, now it is dkd"):
        distill(net(4), net(8), loader, steps=2, loss="dkd", checkpoint=tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    net: Net, loader: Loader, tmp_path: Path, damage: str
) -> None:
    whole = finetune(net(4), loader, epochs=3, checkpoint=tmp_path)
    newest = max(tmp_path.iterdir())
    data = bytearray(newest.read_bytes())
    data[-20] ^= 1
    newest.write_bytes({"truncated": data[:-10], "flipped": data, "empty": b""}[damage])
    again = finetune(net(4), loader, epochs=3, checkpoint=tmp_path)
    assert [finding.code for finding in again.findings] == ["checkpoint-damaged", "training-resumed"]
    assert again.findings[0].where == str(newest)
    assert again.history == whole.history
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in whole.model.state_dict().items())


def test_only_damaged_checkpoints_are_an_error(net: Net, loader: Loader, tmp_path: Path) -> None:
    (tmp_path / "step-0000000003.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="all 1 checkpoints"):
        finetune(net(4), loader, epochs=1, checkpoint=tmp_path)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(
    net: Net, batches: list[tuple[Tensor, Tensor]], tmp_path: Path
) -> None:
    reading = []

    def read() -> list[tuple[Tensor, Tensor]]:
        reading.append(1)
        return batches if len(reading) < 5 else [(inputs * float("nan"), labels) for inputs, labels in batches]

    model = net(4)
    with pytest.raises(NumericalError, match=r"the loss is nan in step 7 of 12, at a learning rate of") as caught:
        finetune(model, read, epochs=4, checkpoint=tmp_path)
    assert caught.value.step == 6
    assert "lower lr" in caught.value.hint
    assert str(max(tmp_path.iterdir())) in str(caught.value)
    kept = load_file(max(tmp_path.iterdir()))
    assert all(torch.equal(value, kept[f"model/{name}"]) for name, value in model.state_dict().items())


def test_a_loss_that_grows_beyond_all_numbers_is_seen(net: Net, loader: Loader) -> None:
    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs * 1e30).square().sum()

    with pytest.raises(NumericalError, match="the loss is inf in step 1 of 3"):
        finetune(net(4), loader, epochs=1, loss=loss)
