"""A whole model changed from inside: a trainer that is running holds it by reference, so it must stay the same object.

A Hugging Face Trainer passes one module through its loop, its optimizer steps and its checkpoints. A pruned model lends
it its layers; a rounded one becomes its only child, and its `forward` asks the child and computes the loss.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from edgekit.callbacks.place import alike
from edgekit.callbacks.tutor import PASSED_OVER
from edgekit.errors import InputError
from edgekit.shrink.qat.module import QatModule
from edgekit.training.batches import LABELS, read_outputs
from edgekit.training.objective import choose_task_loss

CHILD = "edgekit_rounded"
"""Name of the rounded net inside the model, and so the beginning of its names in a checkpoint."""
IGNORED = -100
"""A label that counts for nothing."""

LabelLoss = Callable[[Tensor, Tensor], Tensor]


class WholeModel:
    """The place of a net that is the trained model itself.

    Attributes:
        owner: The model; always the same object.
        net: The model, or the QatModule inside it.
    """

    def __init__(self, owner: nn.Module, loss: LabelLoss | None = None) -> None:
        """Take a model; `loss` of (logits, labels) replaces its own once it is rounded, None chooses by the labels."""
        self.owner, self._loss = owner, loss

    @property
    def net(self) -> nn.Module:
        """What is trained."""
        found = self.owner._modules.get(CHILD)
        return self.owner if found is None else found

    def put(self, net: nn.Module) -> None:
        """Make the model what `net` is: a smaller one of its class, or a rounded one.

        Raises:
            InputError: It is neither.
        """
        alike(net, self.owner)
        if isinstance(net, QatModule):
            self._take_over(net)
        elif type(net) is type(self.owner):
            vars(self.owner).update(vars(net))
        else:
            raise InputError(f"a {type(net).__name__} cannot take the place of a {type(self.owner).__name__}")

    def _take_over(self, rounded: QatModule) -> None:
        owner = self.owner
        original = owner.forward

        @functools.wraps(original)
        def forward(*args: object, **kwargs: object) -> dict[str, Tensor]:
            asked = {name: value for name, value in kwargs.items() if name not in PASSED_OVER}
            logits = read_outputs(rounded(*args, **asked))
            if not isinstance(logits, Tensor):
                raise InputError("the model has several outputs and no 'logits' among them")
            labels = next((value for name in LABELS if isinstance(value := kwargs.get(name), Tensor)), None)
            if labels is None:
                return {"logits": logits}
            return {"loss": self._task_loss(logits, labels) * share_of(kwargs), "logits": logits}

        owner._modules.clear()
        owner._parameters.clear()
        owner._buffers.clear()
        owner.add_module(CHILD, rounded)
        object.__setattr__(owner, "forward", forward)

    def _task_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = self._loss or choose_task_loss("auto", logits, labels, 0.0)
        if loss is None:
            raise InputError(
                f"no built-in loss fits logits {tuple(logits.shape)} with labels {tuple(labels.shape)}",
                hint="EdgekitTrainerCallback(schedule, loss=function of logits and labels)",
            )
        return loss(logits, labels)


def share_of(kwargs: Mapping[str, object]) -> Tensor | float:
    """What part of an optimizer step's labels a batch has, where the trainer asks for losses of that scale.

    With gradient accumulation Trainer gives models `num_items_in_batch`, the labels of all batches of the step, and
    wants the sum of losses over it: a mean over this batch's labels times their share.
    """
    items = kwargs.get("num_items_in_batch")
    labels = next((value for name in LABELS if isinstance(value := kwargs.get(name), Tensor)), None)
    if labels is None or not isinstance(items, Tensor | int):
        return 1.0
    return (labels != IGNORED).sum() / items


@contextmanager
def traceable(model: nn.Module) -> Iterator[None]:
    """Attention of Hugging Face models as plain operators, as long as the block runs; the numbers are the same."""
    choose = getattr(model, "set_attn_implementation", None)
    before = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if choose is None or before in (None, "eager"):
        yield
        return
    choose("eager")
    try:
        yield
    finally:
        choose(before)
