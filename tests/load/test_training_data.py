import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from edgekit.errors import InputError, ModelLoadError
from edgekit.load.trainable import open_trainable
from edgekit.load.training_data import load_training_data

CODE = """
import torch
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.arange(6.0)[:, None], torch.arange(6)), batch_size=4)
def make(): return loader
def batches():
    yield torch.ones(2, 1), torch.zeros(2)
stream = batches()
number = 3
def nothing(): return 3
def broken(): raise RuntimeError("no disk")
"""


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "data.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize("name", ["loader", "make"])
def test_a_loader_or_what_makes_it(code, name):
    found = load_training_data(f"{code}:{name}")
    assert isinstance(found, DataLoader)
    assert len(found.dataset) == 6


def test_a_generator_function_is_walked_anew_each_time(code):
    found = load_training_data(f"{code}:batches")
    assert [len(list(found)) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stream", "not a DataLoader or a function"),
        ("number", "not a DataLoader or a function"),
        ("nothing", "which has no batches"),
        ("broken", "no disk"),
        ("absent", "has no absent"),
    ],
)
def test_what_has_no_batches_is_named(code, name, said):
    with pytest.raises(InputError, match=said):
        load_training_data(f"{code}:{name}")


def test_a_live_module_is_copied():
    module = nn.Linear(2, 2).train()
    found = open_trainable(module, factory="", trust_pickle=False)
    assert found.module is not module
    assert module.training
    assert not found.module.training
    assert torch.equal(found.module.weight, module.weight)


def test_the_digest_is_of_the_weights():
    module = nn.BatchNorm1d(2)
    before = open_trainable(module, factory="", trust_pickle=False).digest
    assert open_trainable(module, factory="", trust_pickle=False).digest == before
    module.running_mean.add_(1)
    assert open_trainable(module, factory="", trust_pickle=False).digest != before


def test_a_finished_graph_cannot_be_trained(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), path)
    with pytest.raises(ModelLoadError, match="finished graph") as caught:
        open_trainable(path, factory="", trust_pickle=False)
    assert "--model" in caught.value.hint
    with pytest.raises(ModelLoadError, match="cannot be trained"):
        open_trainable(3, factory="", trust_pickle=False)
