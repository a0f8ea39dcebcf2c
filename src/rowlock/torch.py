"""PyTorch: batches of tensors that share memory with the arrays they were made from, or lie on a device."""

from __future__ import annotations

import os
import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import whole_number
from rowlock.batch import Batch
from rowlock.errors import ConfigError, MissingDependencyError
from rowlock.handover import FrameworkBatches, SentAhead

try:
    import torch
    from torch import distributed
except ModuleNotFoundError as error:
    raise MissingDependencyError("PyTorch is not installed: pip install 'rowlock[torch]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.loader import Loader

__all__ = ["TorchBatch", "TorchBatches", "shard"]

_INSTEAD = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}
"""PyTorch holds these, but has next to no operations for them."""

_NO_WORKERS = (
    "use DataLoader(..., num_workers=0): the threads of rl.Engine(num_threads=...) do the work, and workers would each"
    " deliver all the rows, copied from process to process"
)


@dataclass(frozen=True, eq=False, slots=True)
class TorchBatch(Batch):
    """A `Batch` whose inputs, target and weights are tensors; keys and rows stay NumPy arrays."""

    def to(self, device: Any, *, non_blocking: bool = False) -> TorchBatch:
        """Return the batch with its tensors on `device`, as Lightning and Accelerate ask for it."""
        return self.mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> TorchBatch:
        """Return the batch with its tensors in page-locked memory, which devices copy from without waiting."""
        return self.mapped(lambda tensor: tensor.pin_memory())

    def mapped(self, function: Callable[[Any], Any]) -> TorchBatch:
        """Return the batch with each tensor passed through a function."""
        inputs = {name: function(tensor) for name, tensor in self.inputs.items()}
        target: Any = self.target
        if isinstance(target, dict):
            target = {name: function(tensor) for name, tensor in target.items()}
        elif target is not None:
            target = function(target)
        weight = None if self.sample_weight is None else function(self.sample_weight)
        return TorchBatch(inputs, target, weight, self.keys, self.rows, self.step, self.epoch)


class TorchBatches(FrameworkBatches, torch.utils.data.IterableDataset):  # type: ignore[misc] # PyTorch is not there when types are checked
    """A loader's batches as tensors; made by `Loader.to_torch`.

    Iterate it, hand it to Lightning's ``trainer.fit``, or to ``DataLoader(batches, batch_size=None,
    num_workers=0)``, also to torchdata's ``StatefulDataLoader``. Integer targets become int64, which PyTorch's
    losses want.

    On the way to a CUDA device a batch is copied into page-locked memory and from there on a stream of its own,
    up to `prefetch` batches ahead; the stream that is current where a batch is taken waits for it.

    Parameters
    ----------
    loader : Loader
    device : torch.device or str, optional
        Where the tensors go; by default they stay in the memory they were read into.
    prefetch : int
        Most batches under way to a CUDA device ahead of the one that is delivered.

    Raises
    ------
    ConfigError
        No such device; an input of a type that PyTorch cannot compute with (uint16, ...).
    """

    def __init__(self, loader: Loader, *, device: Any = None, prefetch: int = 2) -> None:
        super().__init__()
        _refuse_types(loader)
        self.loader = loader
        self.device = None if device is None else _device(device)
        is_cuda = self.device is not None and self.device.type == "cuda"
        self._mover = _CudaMover(self.device) if is_cuda else None
        num_ahead = whole_number("prefetch", prefetch, 0)
        self._ahead = SentAhead(loader, self._send, num_ahead if is_cuda else 0)

    def __iter__(self) -> Iterator[TorchBatch]:
        if torch.utils.data.get_worker_info() is not None:
            raise ConfigError(_NO_WORKERS)
        _refuse_accelerate()
        _refuse_collation()
        if distributed.is_available() and distributed.is_initialized():
            self.warn_if_whole(distributed.get_world_size(), "rowlock.torch.shard()")
        return self.loader.epoch(self._hand_over)

    def __getstate__(self) -> Any:
        raise ConfigError(_NO_WORKERS)  # a DataLoader's workers that are spawned get a copy

    def _hand_over(self, batch: Batch) -> TorchBatch:
        sent = self._ahead(batch)
        return sent if self._mover is None else self._mover.arrived(sent)

    def _send(self, batch: Batch) -> Any:
        tensors = _as_tensors(batch)
        if self._mover is not None:
            return self._mover.send(tensors)
        return tensors if self.device is None else tensors.to(self.device)


class _CudaMover:
    """Copies batches to a CUDA device on a stream of its own, beside the computing."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._sources: deque[tuple[Any, TorchBatch]] = deque()  # page-locked, until the event says it was copied

    def send(self, batch: TorchBatch) -> tuple[TorchBatch, Any]:
        """Begin to copy a batch; return it on the device, and the event that says when it is there."""
        while self._sources and self._sources[0][0].query():
            self._sources.popleft()
        pinned = batch.pin_memory()
        with torch.cuda.stream(self._stream):
            moved = pinned.to(self._device, non_blocking=True)
            event = self._stream.record_event()
        self._sources.append((event, pinned))
        return moved, event

    def arrived(self, sent: tuple[TorchBatch, Any]) -> TorchBatch:
        """Return a batch that was sent; whatever is computed with it on the current stream waits for it."""
        batch, event = sent
        current = torch.cuda.current_stream(self._device)
        current.wait_event(event)

        def in_use(tensor: Any) -> Any:
            tensor.record_stream(current)  # its memory was taken on the other stream, which may not have it back yet
            return tensor

        return batch.mapped(in_use)


def shard() -> tuple[int, int]:
    """Return (rank, world_size) of this process in `torch.distributed`, for ``batches(..., shard=shard())``.

    (0, 1) where there is one process.

    Raises
    ------
    ConfigError
        It was started as one of several, and the process group is not there yet: every process would take all rows.
    """
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    announced = os.environ.get("WORLD_SIZE", "1")
    if announced != "1":
        raise ConfigError(
            f"WORLD_SIZE={announced}, but the process group is not there yet. Call"
            " torch.distributed.init_process_group() first (or let Lightning or Accelerate do so)."
        )
    return 0, 1


def _as_tensors(batch: Batch) -> TorchBatch:
    inputs = {name: torch.from_numpy(array) for name, array in batch.inputs.items()}
    target: Any = batch.target
    if isinstance(target, dict):
        target = {name: _target(array) for name, array in target.items()}
    elif target is not None:
        target = _target(target)
    weight: Any = None if batch.sample_weight is None else torch.from_numpy(batch.sample_weight)
    return TorchBatch(inputs, target, weight, batch.keys, batch.rows, batch.step, batch.epoch)


def _target(array: Any) -> Any:
    if array.dtype.kind in "iu":
        array = array.astype(np.int64, copy=False)
    return torch.from_numpy(array)


def _device(device: Any) -> Any:
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device={device!r} is no device of PyTorch: {error}") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={device!r}, but PyTorch finds no CUDA device here")
    return found


def _refuse_types(loader: Loader) -> None:
    """Refuse what PyTorch has no type for, or a type without operations; whole targets become int64."""
    specs = loader.dataset.input_specs, loader.dataset.target_specs
    for is_target, named in enumerate(specs):
        for name, spec in named.items():
            dtype = spec.dtype.name
            is_known = hasattr(torch, dtype) and (dtype not in _INSTEAD or (is_target and dtype != "uint64"))
            if not is_known:
                raise ConfigError(
                    f"{name or 'the target'!r} is {dtype}, which PyTorch cannot compute with. Write"
                    f" dtype='{_INSTEAD.get(dtype, 'float32')}'."
                )


def _refuse_accelerate() -> None:
    """Refuse to be iterated by a data loader that went through Accelerate's ``prepare``.

    Of an `IterableDataset` it delivers only what process 0 reads, or each process's share once more divided, and
    begins to count epochs anew after resuming; all without a word. What is not a `DataLoader` it leaves alone.
    """
    frame: Any = sys._getframe(1)  # noqa: SLF001 - nothing else tells who asks
    while frame is not None:
        if frame.f_globals.get("__name__") == "accelerate.data_loader":
            raise ConfigError(
                "Accelerate's prepare() would divide these batches a second time: it takes only what process 0 reads."
                " Leave them out of it: data.batches(..., shard=(accelerator.process_index, accelerator.num_processes))"
                ".to_torch(device=accelerator.device), without a DataLoader."
            )
        frame = frame.f_back


def _refuse_collation() -> None:
    """Refuse a `DataLoader` that would make batches of batches: ``batch_size`` is 1 where nobody says None."""
    frame: Any = sys._getframe(1)  # noqa: SLF001 - nothing else tells who asks
    while frame is not None:
        if frame.f_globals.get("__name__") == "torch.utils.data._utils.fetch":
            if getattr(frame.f_locals.get("self"), "auto_collation", False):
                raise ConfigError(
                    "these are batches already: DataLoader(batches, batch_size=None), and the number of rows in"
                    " data.batches(64)"
                )
            return
        frame = frame.f_back
