"""Trains the net on pictures that come with an installed package, and writes its weights and figures.

python -m models.tiny_vit.train                train, measure
python -m models.tiny_vit.train --prune 1.5    prune the trained net, train on with it as teacher, measure
python -m models.tiny_vit.train --measure      measure the weights that are there
"""

from __future__ import annotations

from models.data import digits
from models.net import ZooNet
from models.stages import main
from models.tiny_vit.model import build
from models.training import Moves, Schedule

MOVES = Moves(turn=8, shift=0.7, scale=0.1)
NET = ZooNet(
    name="tiny_vit",
    build=build,
    data=digits,
    schedule=Schedule(epochs=200, learning_rate=3e-3, moves=MOVES, seed=0),
    tuning=Schedule(epochs=100, learning_rate=1e-3, moves=MOVES, seed=0),
)

if __name__ == "__main__":
    main(NET)
