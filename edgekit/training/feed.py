"""Feed: the same data in the same order for the same seed, shared among processes, from any batch on.

What torch's DataLoader over a map-style data set gives is shared by its indices, so that no process loads what
another trains on, and skipping loads nothing. Any other iterable is read whole by each process, which keeps every
n-th batch; skipping then reads and forgets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler

from edgekit.errors import InputError
from edgekit.training.acceleration import BatchSamplerShard
from edgekit.training.batches import Batch, read_batch
from edgekit.training.random_state import mixed, own_randomness, seed_everything

Data = Iterable[object] | Callable[[], Iterable[object]]
"""A DataLoader, a list of batches, any iterable that can be read again, or a function that begins a new reading."""


@dataclass(frozen=True)
class Share:
    """Which part of the data a process gets.

    Attributes:
        rank: Its number, from 0.
        of: Processes.
    """

    rank: int = 0
    of: int = 1


class Feed:
    """Batches of the epochs of a run."""

    def __init__(self, data: Data, *, share: Share, seed: int) -> None:
        """Take the data; nothing is read yet.

        Raises:
            InputError: It cannot be read, or only once.
        """
        if not callable(data) and isinstance(data, Iterator):
            raise InputError(
                f"the data is a {type(data).__name__}, which can be read only once; training reads it in each epoch",
                hint="pass a DataLoader, a list of batches, or the function that makes the generator: data=batches",
            )
        if not callable(data) and not isinstance(data, Iterable):
            raise InputError(f"the data is a {type(data).__name__}, which cannot be iterated over")
        self._data: Data = data
        self._share = share
        self._seed = seed
        self._counted: int | None = None

    @property
    def length(self) -> int:
        """Batches that this process gets in an epoch; data that does not say is read once to count.

        Raises:
            InputError: There are none.
        """
        if self._counted is None:
            self._counted = self._count()
        if self._counted == 0:
            many = f" for each of {self._share.of} processes" if self._share.of > 1 else ""
            raise InputError(
                f"the data has not one batch{many}", hint="check the data set, its filter, and drop_last of its loader"
            )
        return self._counted

    def epoch(self, number: int, *, skip: int = 0) -> Iterator[Batch]:
        """Batches of an epoch (from 0) but the first `skip`, which are past when this returns.

        The caller has seeded the global generators, from which samplers and data sets may draw.

        Raises:
            InputError: A batch has a structure that cannot be read.
        """
        loader = self._indexed
        if loader is not None:
            _announce(number, loader.dataset, loader.sampler, loader.batch_sampler)
            return map(read_batch, iter(_resampled(loader, self._share, mixed(self._seed, number), skip)))
        batches = _every_nth(self._read(number), self._share)
        for _ in itertools.islice(batches, skip):
            pass
        return map(read_batch, batches)

    def first(self) -> Batch:
        """The first batch of the first epoch, to look at."""
        found = next(iter(self.epoch(0)), None)
        if found is None:
            self._counted = 0
            raise InputError(f"the data has not one batch; {self.length} found")
        return found

    def first_twice(self) -> tuple[Batch, Batch] | None:
        """The same samples read twice, with other random states; None where samples cannot be asked for by index."""
        loader = self._indexed
        if loader is None:
            return None
        found = []
        with own_randomness():
            for attempt in (0, 1):
                chosen = next(iter(_resampled(loader, self._share, mixed(self._seed, 0), 0).batch_sampler or ()), ())
                seed_everything(attempt)
                found.append(read_batch(loader.collate_fn([loader.dataset[index] for index in chosen])))
        return found[0], found[1]

    @property
    def _indexed(self) -> DataLoader[object] | None:
        data = self._data
        if type(data) is not DataLoader or isinstance(data.dataset, IterableDataset) or data.batch_sampler is None:
            return None
        divisible = self._share.of == 1 or isinstance(getattr(data.batch_sampler, "batch_size", None), int)
        return data if divisible else None

    def _read(self, number: int) -> Iterable[object]:
        source = _begun(self._data)
        _announce(number, source, getattr(source, "sampler", None))
        return source

    def _count(self) -> int:
        loader = self._indexed
        announced = _length(self._data if loader is None else loader.batch_sampler)
        if announced is None:
            return sum(1 for _ in self.epoch(0))
        return announced // self._share.of if loader is None else math.ceil(announced / self._share.of)


def _length(data: object) -> int | None:
    """What data says of its length; None where it says nothing, as a DataLoader over a stream."""
    try:
        return len(data) if isinstance(data, Sized) else None
    except TypeError:
        return None


def _begun(data: object) -> Iterable[object]:
    """The data itself, or what its function gives."""
    found = data if isinstance(data, Iterable) or not callable(data) else data()
    if not isinstance(found, Iterable):
        raise InputError(f"the data function gave a {type(found).__name__}, which cannot be iterated over")
    return found


def _announce(number: int, *parts: object) -> None:
    """Tell the epoch to whatever wants to know, as torch's own samplers for several processes do."""
    for part in parts:
        announce = getattr(part, "set_epoch", None)
        if announce is not None:
            announce(number)


def _every_nth(source: Iterable[object], share: Share) -> Iterator[object]:
    """One batch of each full round of all processes; an incomplete last round would leave some waiting."""
    batches = iter(source)
    while len(row := list(itertools.islice(batches, share.of))) == share.of:
        yield row[share.rank]


def _resampled(loader: DataLoader[object], share: Share, seed: int, skip: int) -> DataLoader[object]:
    """The loader with a seeded order, this process's batches only, from `skip` on.

    All indices are drawn now: what a sampler takes from the global generators does not depend on `skip`.
    """
    sampler = loader.batch_sampler
    if type(loader.sampler) is RandomSampler and type(sampler) is BatchSampler:
        drawn = loader.sampler
        order = RandomSampler(
            drawn.data_source,
            replacement=drawn.replacement,
            num_samples=drawn._num_samples,
            generator=torch.Generator().manual_seed(seed),
        )
        sampler = BatchSampler(order, sampler.batch_size, sampler.drop_last)
    if share.of > 1:
        sampler = BatchSamplerShard(sampler, num_processes=share.of, process_index=share.rank)
    assert sampler is not None
    return DataLoader(
        loader.dataset,
        batch_sampler=list(sampler)[skip:],
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=torch.Generator().manual_seed(seed),
        prefetch_factor=loader.prefetch_factor,
    )
