"""PyTorch: batches of tensors that share memory with the arrays they were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.batch import Batch
from rowlock.errors import ConfigError, MissingDependencyError

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingDependencyError("PyTorch is not installed: pip install 'rowlock[torch]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.loader import Loader

__all__ = ["TorchBatches"]


class TorchBatches(torch.utils.data.IterableDataset):  # type: ignore[misc] # PyTorch is not there when types are checked
    """A loader's batches as tensors; made by `Loader.to_torch`.

    Iterate it, or hand it to ``DataLoader(batches, batch_size=None, num_workers=0)``. Integer targets become
    int64, which PyTorch's losses want; keys stay as they are.

    Parameters
    ----------
    loader : Loader
    device : torch.device or str, optional
        Where the tensors go; by default they stay in the memory they were read into.
    """

    def __init__(self, loader: Loader, *, device: Any = None) -> None:
        super().__init__()
        self.loader = loader
        self.device = None if device is None else torch.device(device)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        if torch.utils.data.get_worker_info() is not None:
            raise ConfigError("use DataLoader(..., num_workers=0): the engine's threads do the work, without copies")
        return map(self._converted, iter(self.loader))  # not a generator, which an error would end

    def _converted(self, batch: Batch) -> Batch:
        return Batch(
            {name: self._tensor(array) for name, array in batch.inputs.items()},
            self._target(batch.target),
            None if batch.sample_weight is None else self._tensor(batch.sample_weight),
            batch.keys,
            batch.rows,
            batch.step,
            batch.epoch,
        )

    def _target(self, target: Any) -> Any:
        if target is None:
            return None
        if isinstance(target, dict):
            return {name: self._target(array) for name, array in target.items()}
        tensor = self._tensor(target)
        return tensor.long() if target.dtype.kind in "iu" else tensor

    def _tensor(self, array: Any) -> Any:
        tensor = torch.from_numpy(array)
        if self.device is None or self.device.type == "cpu":
            return tensor
        pinned = tensor.pin_memory() if self.device.type == "cuda" else tensor
        return pinned.to(self.device, non_blocking=True)
