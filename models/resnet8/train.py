"""Trains the net on pictures that come with an installed package, and writes its weights and figures.

python -m models.resnet8.train                train, measure
python -m models.resnet8.train --prune 1.5    prune the trained net, train on with it as teacher, measure
python -m models.resnet8.train --measure      measure the weights that are there
"""

from __future__ import annotations

from models.data import mnist
from models.net import ZooNet
from models.resnet8.model import build
from models.stages import main
from models.training import Moves, Schedule

MOVES = Moves(turn=12, shift=2, scale=0.1)
NET = ZooNet(
    name="resnet8",
    build=build,
    data=mnist,
    schedule=Schedule(epochs=30, learning_rate=4e-3, moves=MOVES, seed=0),
    tuning=Schedule(epochs=8, learning_rate=1e-3, moves=MOVES, seed=0),
)

if __name__ == "__main__":
    main(NET)
