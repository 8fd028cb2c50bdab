"""A callback for the Trainer of Hugging Face Transformers that prunes, sparsifies, distils, rounds and exports a model.

A TrainerCallback may change the model but not the loss. The teacher's part is therefore added by a forward hook: in
training mode the `loss` in the model's output is mixed with the teacher's, and evaluation is left alone. The model is
the same object all the time. `EdgekitTrainer` adds two things that a callback cannot do: the numbers reach every logger
(W&B, TensorBoard), and hooks are taken off when the training ends with an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
from torch import Tensor, nn

from edgekit.callbacks.numbers import PREFIX
from edgekit.callbacks.place import Attribute
from edgekit.callbacks.regrouping import names_of, regroup
from edgekit.callbacks.schedule import CompressionSchedule
from edgekit.callbacks.session import CompressionSession, Length
from edgekit.callbacks.takeover import CHILD, LabelLoss, WholeModel, share_of, traceable
from edgekit.callbacks.tutor import Heard
from edgekit.errors import InputError, MissingExtraError
from edgekit.training.batches import LABELS
from edgekit.types.result import CompressResult

try:
    from transformers import Trainer, TrainerCallback
except ImportError as error:
    raise MissingExtraError("transformers", extra="transformers") from error

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

_NET = "net."
"""Names in a QatModule begin so."""
_WEIGHTS = "model.safetensors"


class EdgekitTrainerCallback(TrainerCallback):
    """Compresses the model of a Trainer while it is trained.

    `state.log_history` gets `edgekit/sparsity`, `edgekit/kd_loss`, `edgekit/qat` (0 or 1) with what Trainer logs, and
    the numbers of the written files at the end. The model computes its own loss from `labels`.

    Attributes:
        schedule: What was asked.
        module: Dotted path of the net in the model; "" is the model itself.
    """

    def __init__(
        self,
        schedule: CompressionSchedule,
        *,
        module: str = "",
        loss: LabelLoss | None = None,
        resume_from: Path | str | None = None,
    ) -> None:
        """Compress a model as the schedule says.

        Args:
            schedule: What to do, and when.
            module: Dotted path of the net inside the model, where the model's own code computes the loss from its
                output. "" compresses the model itself.
            loss: (logits, labels) -> scalar, for a whole model that is rounded: its own code is gone then. None takes
                cross-entropy for classes and mean squares for numbers.
            resume_from: The checkpoint folder that `trainer.train(resume_from_checkpoint=...)` will be given: masks
                and rounding have to be there before its weights are loaded.
        """
        self.schedule, self.module = schedule, module
        self._loss, self._resume_from = loss, None if resume_from is None else Path(resume_from)
        self.session: CompressionSession | None = None
        self._hooks: list[Any] = []
        self._heard: list[Heard] = []
        self._term: Tensor | None = None

    @property
    def result(self) -> CompressResult | None:
        """The files and their report; None until the training is over."""
        return None if self.session is None else self.session.result

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Prune before the optimizer is made, and get ready for the weights of a checkpoint.

        Raises:
            InputError: There is no such module, or the training is of a kind that cannot be helped.
            ShrinkError: The net cannot be pruned as asked.
        """
        model: nn.Module = kwargs["model"]
        late = self.schedule.qat is not None and self.schedule.qat.epoch > 0
        if max(args.world_size, args.n_gpu) > 1 and (late or self.schedule.sparsity is not None):
            raise InputError(
                "zeros and QAT in the middle of a training need one process and one device",
                hint="train on one device while the net is sparsified or rounded",
            )
        place = Attribute(model, self.module) if self.module else WholeModel(model, self._loss)
        self.session = CompressionSession(self.schedule, place)
        with traceable(model):
            self.session.prune()
            if self._resume_from is not None:
                self.session.adapt(_state_of(self._resume_from, self.module or CHILD))
            elif self.schedule.qat is not None and not late:
                self.session.start_rounding()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Rehearse what is to come, fix the moments of the schedule, ask the teacher from now on.

        Raises:
            InputError: A checkpoint was loaded into a model that was not made ready for it.
            RecipeError: The training is too short for the schedule.
        """
        session, model = self._session(), kwargs["model"]
        self.close()
        qat = self.schedule.qat
        if qat is not None and state.global_step and _epoch(state) > qat.epoch and not session.is_rounding:
            raise InputError(
                f"the checkpoint is from epoch {_epoch(state)}, and QAT began at {qat.epoch}: its weights do not fit",
                hint="name the checkpoint here too: EdgekitTrainerCallback(schedule, resume_from=...)",
            )
        with traceable(model):
            session.rehearse()
        epochs = -(-state.num_train_epochs // 1)
        per_epoch = -(-state.max_steps // max(1, state.num_train_epochs))
        session.begin(Length(int(epochs), int(per_epoch), state.max_steps), step=state.global_step)
        if session.tutor is not None:
            self._hooks.append(model.register_forward_hook(self._answer, with_kwargs=True))
            self._listen()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin QAT where its epoch has come; the optimizer goes on with the new parameters."""
        session, qat = self._session(), self.schedule.qat
        if qat is None or session.is_rounding or _epoch(state) < qat.epoch:
            return
        old = names_of(session.place.net)
        with traceable(kwargs["model"]):
            rounded = session.start_rounding()
        regroup(kwargs["optimizer"], old, rounded, prefix=_NET)
        self._listen()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Let zeros grow, or hold them."""
        self._session().after_step(state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Add where the schedule stands to what is logged."""
        numbers = self.metrics()
        kwargs["logs"].update(numbers)
        if state.log_history:
            state.log_history[-1].update(numbers)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take hooks off, write the files and note what they are."""
        self.close()
        if not state.is_world_process_zero:
            return
        session = self._session()
        with traceable(kwargs["model"]):
            session.finish()
        numbers = session.final_metrics()
        if numbers:
            state.log_history.append({**numbers, "step": state.global_step, "epoch": state.epoch})

    def metrics(self) -> dict[str, float]:
        """Numbers of the present step."""
        found = {} if self.session is None else self.session.metrics()
        if self._term is not None:
            found[f"{PREFIX}kd_loss"] = float(self._term)
        return found

    def close(self) -> None:
        """Take the hooks off and put the teacher back; after an exception in a plain Trainer, call it yourself."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._heard.clear()
        if self.session is not None:
            self.session.close()

    def _session(self) -> CompressionSession:
        if self.session is None:
            raise InputError(
                "the callback does not know the model", hint="hand it to Trainer(callbacks=[...]), not to add_callback"
            )
        return self.session

    def _listen(self) -> None:
        """Hear what a net inside the model is called with; a whole model is heard by the hook on itself."""
        if not self.module or not self._hooks:
            return
        for hook in self._hooks[1:]:
            hook.remove()
        self._hooks[1:] = [self._session().place.net.register_forward_hook(self._note, with_kwargs=True)]

    def _note(self, net: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object) -> None:
        if net.training:
            self._heard.append(Heard(args, kwargs, output))

    def _answer(self, model: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object) -> Any:
        if not model.training:
            return None
        heard = list(self._heard) if self.module else [Heard(args, kwargs, output)]
        self._heard.clear()
        loss = output.get("loss") if isinstance(output, Mapping) else None
        if not isinstance(loss, Tensor):
            raise InputError(
                f"the output of {type(model).__name__} has no 'loss' that a teacher's could be mixed with",
                hint="its forward must compute the loss from labels, and give a dict; so neither label smoothing nor a "
                "compute_loss_func of the Trainer",
            )
        tutor = self._session().tutor
        assert tutor is not None
        labels = next((value for name in LABELS if isinstance(value := kwargs.get(name), Tensor)), None)
        term = tutor.term(heard, labels)
        self._term = term.detach()
        output["loss"] = tutor.mixed(loss, term * share_of(kwargs))  # type: ignore[index]
        return output


class EdgekitTrainer(Trainer):
    """A Trainer whose loggers see edgekit's numbers, and which leaves a clean model after an exception."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add where the schedules of its callbacks stand."""
        for callback in self._ours():
            logs = {**logs, **callback.metrics()}
        super().log(logs, start_time)

    def train(self, *args: Any, **kwargs: Any) -> Any:  # the signature is that of Trainer, whatever its version
        """Train; afterwards the callbacks' hooks are gone, whatever happened."""
        try:
            return super().train(*args, **kwargs)
        finally:
            for callback in self._ours():
                callback.close()

    def _ours(self) -> list[EdgekitTrainerCallback]:
        return [one for one in self.callback_handler.callbacks if isinstance(one, EdgekitTrainerCallback)]


def _epoch(state: TrainerState) -> int:
    return round(state.epoch or 0)


def _state_of(folder: Path, place: str) -> dict[str, object]:
    """How the net in a checkpoint is built, from the names of its tensors.

    Raises:
        InputError: There is no such checkpoint.
    """
    try:
        with safetensors.safe_open(folder / _WEIGHTS, framework="pt") as file:
            names = list(file.keys())
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"resume_from: {folder / _WEIGHTS} cannot be read: {error}") from error
    rounding = any(name.startswith(f"{place}.ranges.") for name in names)
    return {"rounding": rounding, "masked": any(".parametrizations." in name for name in names)}
