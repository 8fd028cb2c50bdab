"""The name of a calibration set: a digest over its samples, which a report and everything after it refers to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array
from edgekit.types.samples import Samples


class DigestedSamples:
    """Samples that are hashed while somebody walks through them, so that a name for them costs no walk of its own.

    The digest is over what the model is fed: names, element types, shapes and values, sample by sample in walking
    order. Where the samples were read from does not count, nor in which byte order a machine holds them.

    Attributes:
        digest: sha256 over all samples, lower-case hex, once a walk has come to its end; "" before.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self.digest = ""

    @property
    def count(self) -> int:
        """See Samples."""
        return self._samples.count

    @property
    def source(self) -> str:
        """See Samples."""
        return self._samples.source

    @property
    def preprocessing(self) -> Preprocessing | None:
        """See Samples."""
        return self._samples.preprocessing

    def labels(self) -> Array | None:
        """See Samples."""
        return self._samples.labels()

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        whole = hashlib.sha256()
        for sample in self._samples:
            for name in sorted(sample):
                array = sample[name]
                plain = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
                whole.update(f"{name}\n{array.dtype.name}\n{'x'.join(map(str, array.shape))}\n".encode())
                whole.update(plain.tobytes())
            yield sample
        self.digest = whole.hexdigest()
