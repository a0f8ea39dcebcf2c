"""From a table to a trained, saved, reusable merged model; ``rowlock train`` and ``rowlock predict`` in Python.

::

    from rowlock.training import Config, Run, train

    config = Config(image={"image": "imgpath"}, features={"growth": "growth.zarr"}, target="label", key="object_id")
    run = train(frame, config, "run")
    Run.open("run").predict(other_frame)
"""

from rowlock.training.config import Config
from rowlock.training.listener import Listener
from rowlock.training.run import Run
from rowlock.training.spec import Spec
from rowlock.training.train import train

__all__ = ["Config", "Listener", "Run", "Spec", "train"]
