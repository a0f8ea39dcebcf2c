"""What a loader can be turned into: what each framework takes, a bar, a page of a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from rowlock.loader import Loader
    from rowlock.progress import Progress

__all__ = ["LoaderForms"]


class LoaderForms:
    """The `to_*` methods of a loader; each loads its framework when it is called."""

    @property
    def _loader(self) -> Loader:
        return cast("Loader", self)

    def to_keras(self, *, inputs: Literal["auto", "dict", "tuple", "single"] = "auto") -> Any:
        """Return the batches as a `keras.utils.PyDataset` for ``fit``, ``evaluate`` and ``predict``.

        Parameters
        ----------
        inputs : {"auto", "dict", "tuple", "single"}
            How the model takes its inputs: by name, as a list or tuple in the order of the dataset's `inputs`, or
            the only one as it is. ``"auto"``: as `KerasBatches.bind` sees, else by name.
        """
        from rowlock.keras import KerasBatches  # noqa: PLC0415 - loads Keras

        return KerasBatches(self._loader, inputs=inputs)

    def to_torch(self, *, device: Any = None, prefetch: int = 2) -> Any:
        """Return the batches as PyTorch tensors: a `torch.utils.data.IterableDataset`.

        Parameters
        ----------
        device : torch.device or str, optional
            Where the tensors go; by default they share the memory that the rows were read into.
        prefetch : int
            Most batches that are on their way to a CUDA device ahead of the one that is delivered.
        """
        from rowlock.torch import TorchBatches  # noqa: PLC0415 - loads PyTorch

        return TorchBatches(self._loader, device=device, prefetch=prefetch)

    def to_jax(self, *, sharding: Any = None, prefetch: int = 2) -> Any:
        """Return the batches as JAX arrays.

        Parameters
        ----------
        sharding : jax.sharding.Sharding or dict of them, optional
            How the rows of all ranks together lie on the devices of all processes: one for everything, or one for
            each name (inputs, ``"target"`` or the targets' names, ``"sample_weight"``). By default the rows of this
            rank go to the default device.
        prefetch : int
            Most batches that are sent to the devices ahead of the one that is delivered.
        """
        from rowlock.jax import JaxBatches  # noqa: PLC0415 - loads JAX

        return JaxBatches(self._loader, sharding=sharding, prefetch=prefetch)

    def to_tf_dataset(self, *, inputs: Literal["dict", "tuple"] = "dict") -> Any:
        """Return the batches as a `tf.data.Dataset` of (inputs, target, sample_weight), as ``fit`` takes them.

        Parameters
        ----------
        inputs : {"dict", "tuple"}
            How the model takes its inputs: by name, or as a list or tuple in the order of the dataset's `inputs`.
        """
        from rowlock.tensorflow import tf_dataset  # noqa: PLC0415 - loads TensorFlow

        return tf_dataset(self._loader, inputs=inputs)

    def progress(self, **options: Any) -> Progress:
        """Iterate the next epoch under a progress bar: ``for batch in loader.progress(): ...``.

        Parameters
        ----------
        **options
            For `tqdm.tqdm`, such as ``desc=`` or ``file=``.

        Raises
        ------
        MissingDependencyError
            tqdm is not installed.
        """
        from rowlock.progress import Progress  # noqa: PLC0415 - only for a bar

        return Progress(self._loader, **options)

    def _repr_html_(self) -> str:
        from rowlock.showing import loader_html  # noqa: PLC0415 - only in a notebook

        return loader_html(self._loader)
