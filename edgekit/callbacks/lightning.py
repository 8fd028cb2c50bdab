"""A Lightning callback that prunes, sparsifies, distils, rounds and exports the net of a LightningModule.

What it changes of the user's objects, and for how long:

- the attribute that holds the net, for good: by a smaller net before optimizers are made, by a QatModule at an epoch;
- `training_step` of the LightningModule, while `fit` runs: a callback cannot change a loss, so the method is wrapped.
  Forward hooks on the net tell what it was called with, the teacher is asked the same, and the loss that the method
  returns is mixed with the teacher's. After `fit`, and after an exception, the method is the old one;
- `on_load_checkpoint`, as long: a checkpoint of a pruned or rounded net needs such a net before its weights are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgekit.callbacks.numbers import PREFIX
from edgekit.callbacks.place import Attribute
from edgekit.callbacks.schedule import CompressionSchedule
from edgekit.callbacks.session import CompressionSession, Length
from edgekit.callbacks.tutor import listening
from edgekit.errors import InputError, MissingExtraError, RecipeError
from edgekit.training.batches import read_batch
from edgekit.types.result import CompressResult

if TYPE_CHECKING:
    import lightning.pytorch as pl
else:
    try:
        import lightning.pytorch as pl
    except ImportError:
        try:
            import pytorch_lightning as pl
        except ImportError as error:
            raise MissingExtraError("lightning", extra="lightning") from error

Step = Callable[..., Any]


class EdgekitCallback(pl.Callback):
    """Compresses the net of a LightningModule while it is trained; see the module's text for what it touches.

    `trainer.logger` gets `edgekit/sparsity`, `edgekit/kd_loss`, `edgekit/qat` (0 or 1) while the training runs, and the
    numbers of the written files at its end. Resuming from a checkpoint needs the same schedule.

    Attributes:
        schedule: What was asked.
        module: Name of the attribute that holds the net.
        result: The files and their report; None until the training is over.
    """

    def __init__(self, schedule: CompressionSchedule, *, module: str = "model") -> None:
        """Compress `pl_module.<module>` as the schedule says."""
        super().__init__()
        self.schedule, self.module = schedule, module
        self.session: CompressionSession | None = None
        self._owner: nn.Module | None = None
        self._wrapped: list[str] = []
        self._step = 0

    @property
    def result(self) -> CompressResult | None:
        """The files and their report."""
        return None if self.session is None else self.session.result

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Prune before the optimizers are made, and be ready for a checkpoint.

        Raises:
            InputError: There is no such attribute, or the training is of a kind that cannot be helped.
            ShrinkError: The net cannot be pruned as asked.
        """
        if stage != "fit":
            return
        self._unwrap()
        if self._owner is not pl_module or self.session is None:
            self._owner, self.session = pl_module, CompressionSession(self.schedule, Attribute(pl_module, self.module))
        self._refuse(trainer, pl_module)
        self.session.prune()
        if self.schedule.qat is not None and self.schedule.qat.epoch == 0 and not self.session.is_rounding:
            self.session.start_rounding()
        inner, session = pl_module.on_load_checkpoint, self.session

        def on_load_checkpoint(checkpoint: dict[str, Any]) -> None:
            session.adapt(checkpoint.get("callbacks", {}).get(self.state_key, {}))
            inner(checkpoint)

        self._wrap(pl_module, "on_load_checkpoint", on_load_checkpoint)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Rehearse what is to come, and put the teacher's part into the training step."""
        assert self.session is not None
        place = self.session.place
        rehearsed = self.session.rehearse()
        if rehearsed is not None:
            kept = place.net
            try:
                place.put(rehearsed)
                _optimizers_of(pl_module)
            finally:
                place.put(kept)
        if self.session.tutor is not None:
            self._wrap(pl_module, "training_step", self._taught(pl_module, self.session))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Fix the moments of the schedule, now that the length of the training is known."""
        assert self.session is not None
        self.session.begin(_length(trainer), step=trainer.global_step)
        self._step = trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin QAT where its epoch has come."""
        assert self.session is not None
        qat = self.schedule.qat
        if qat is not None and trainer.current_epoch >= qat.epoch and not self.session.is_rounding:
            self.session.start_rounding()
            _renew_optimizers(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After an optimizer step, let zeros grow or hold them; log where the schedule stands."""
        assert self.session is not None
        if trainer.global_step != self._step:
            self._step = trainer.global_step
            self.session.after_step(self._step)
        for name, value in self.session.metrics().items():
            pl_module.log(name, value)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the files and log what they are."""
        assert self.session is not None
        self._unwrap()
        if not trainer.is_global_zero:
            return
        self.session.finish()
        numbers = self.session.final_metrics()
        if numbers:
            for logger in trainer.loggers:
                logger.log_metrics(numbers, step=trainer.global_step)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the methods and the teacher back; the net stays what it has become."""
        self._unwrap()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """The same at the end."""
        self._unwrap()

    def state_dict(self) -> dict[str, Any]:
        """How the net is built now, for a checkpoint."""
        return {} if self.session is None else self.session.state()

    def _refuse(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        late = self.schedule.qat is not None and self.schedule.qat.epoch > 0
        if trainer.world_size > 1 and (late or self.schedule.sparsity is not None):
            raise InputError(
                f"zeros and QAT in the middle of a training need one process, and there are {trainer.world_size}",
                hint="QatPhase(epoch=0) works on many; or train on one device while the net is sparsified or rounded",
            )
        if self.schedule.distill is not None and not pl_module.automatic_optimization:
            raise InputError(
                "the loss of a training step with manual optimization cannot be mixed with a teacher's",
                hint="use automatic optimization, or add edgekit's distillation losses in training_step",
            )

    def _taught(self, pl_module: pl.LightningModule, session: CompressionSession) -> Step:
        inner, tutor = pl_module.training_step, session.tutor
        assert tutor is not None

        def training_step(*args: Any, **kwargs: Any) -> Any:
            with listening(session.place.net) as heard:
                result = inner(*args, **kwargs)
            loss = result.get("loss") if isinstance(result, Mapping) else result
            if not isinstance(loss, Tensor):  # Lightning skips a step without a loss
                return result
            term = tutor.term(heard, _labels(args[0] if args else next(iter(kwargs.values()), None)))
            pl_module.log(f"{PREFIX}kd_loss", term.detach())
            mixed = tutor.mixed(loss, term)
            return {**result, "loss": mixed} if isinstance(result, Mapping) else mixed

        return training_step

    def _wrap(self, pl_module: pl.LightningModule, name: str, method: Step) -> None:
        """An attribute of the instance hides the method of its class until it is deleted."""
        if name in vars(pl_module):
            raise InputError(
                f"'{name}' of {type(pl_module).__name__} was replaced by something else already",
                hint="use one EdgekitCallback for each training",
            )
        object.__setattr__(pl_module, name, method)
        self._wrapped.append(name)

    def _unwrap(self) -> None:
        for name in self._wrapped:
            vars(self._owner).pop(name, None)
        self._wrapped.clear()
        if self.session is not None:
            self.session.close()


def _labels(batch: object) -> Tensor | None:
    """Labels of a batch, where it has a form that says which they are."""
    try:
        return read_batch(batch).labels
    except InputError:
        return None


def _length(trainer: pl.Trainer) -> Length:
    batches = trainer.num_training_batches
    per_epoch = None if batches == float("inf") else -(-int(batches) // trainer.accumulate_grad_batches)
    steps = trainer.estimated_stepping_batches
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs >= 0 else None
    return Length(epochs, per_epoch, None if steps == float("inf") else int(steps))


def _optimizers_of(pl_module: pl.LightningModule) -> None:
    """Ask for optimizers of a net that is rounded.

    Raises:
        RecipeError: `configure_optimizers` cannot give them.
    """
    try:
        pl_module.configure_optimizers()
    except Exception as error:  # the user's code may raise anything
        raise RecipeError(
            f"configure_optimizers fails once the net is rounded: {type(error).__name__}: {error}",
            hint="take self.parameters() or named_parameters() there: a rounded net has no layers of its own",
        ) from error


def _renew_optimizers(trainer: pl.Trainer) -> None:
    """Optimizers of the new parameters, made by `configure_optimizers`, with the old rates and scheduler positions.

    Momenta begin anew: the parameters are others. A checkpoint fits, since a resumed training makes the same ones.
    """
    strategy = trainer.strategy
    groups = [[_options(group) for group in optimizer.param_groups] for optimizer in strategy.optimizers]
    schedulers = [config.scheduler.state_dict() for config in strategy.lr_scheduler_configs]
    strategy.setup_optimizers(trainer)
    for optimizer, options in zip(strategy.optimizers, groups, strict=True):
        if len(optimizer.param_groups) == len(options):
            for group, kept in zip(optimizer.param_groups, options, strict=True):
                group.update(kept)
    for config, state in zip(strategy.lr_scheduler_configs, schedulers, strict=True):
        config.scheduler.load_state_dict(state)


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a parameter group. Some optimizers keep a rate as a tensor, which a scheduler changes in place."""
    return {
        name: value.clone() if isinstance(value, torch.Tensor) else value
        for name, value in group.items()
        if name != "params"
    }
