"""Batches for `fit`, `evaluate` and `predict` of Keras 3, on every backend.

How Keras calls a data set (3.15, traced on JAX, PyTorch and TensorFlow): before training it takes one batch or
two as a probe, and calls `on_epoch_end` before the first `on_epoch_begin`; by default it shuffles the *numbers*
of the batches; with `steps_per_epoch` one pass goes on over several of its epochs, with both hooks between.
What it does at the start of every pass, and only there, is to call a hook and then ask for the length; and once
at the start of every `fit`, `evaluate` and `predict` it asks for the number of workers.
"""

from __future__ import annotations

import logging
import threading
from operator import length_hint
from typing import TYPE_CHECKING, Any, Self

import keras

from rowlock.errors import ConfigError, LoaderClosedError, StateError
from rowlock.keras.alike import refuse_other
from rowlock.keras.binding import bind, structure_of
from rowlock.keras.bound_weights import check_weights
from rowlock.keras.calling import call_of_keras
from rowlock.keras.converted import Structure, check_structure, converted
from rowlock.keras.jax_weights import put_back_carried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.batch import Batch
    from rowlock.keras.calling import Call
    from rowlock.loader import Loader

__all__ = ["KerasBatches"]

_LOG = logging.getLogger("rowlock")

NUM_PROBED = 2
"""Most batches that Keras takes before training and asks for again."""


class KerasBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """A loader's batches as Keras wants them; made by `Loader.to_keras`.

    The index that Keras asks for is ignored: batches come in the plan's order, each pass is an epoch of the
    loader, and a pass that Keras only began (its probe) is begun again with the same batches. The length is
    constant. One thread of Keras takes the batches; the engine's threads make them.

    Training and validation take an object each: one for both would take turns with itself, and train on every other
    epoch. It is refused.

    Parameters
    ----------
    loader : Loader
    inputs : {"auto", "dict", "tuple", "single"}
        How the model takes its inputs: by name, as a tuple in the order of the dataset, or the only one as it is.
        ``"auto"``: as `bind` sees; else by name, and the only one as the model takes it that Keras calls.

    Attributes
    ----------
    loader : Loader
    last_error : Exception or None
        What happened to a batch last: TensorFlow passes only its text on.
    """

    def __init__(self, loader: Loader, *, inputs: Structure = "auto") -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        check_structure(inputs, list(loader.dataset.input_specs))
        _refuse_unfit(loader)
        self.loader = loader
        self.last_error: BaseException | None = None
        self._told: set[str] = set()
        self.structure: Structure = inputs
        self.order = tuple(loader.dataset.input_specs)
        self._of_call: Structure = "auto"
        self._lock = threading.Lock()  # TensorFlow takes batches in a thread of its own
        self._epoch: Iterator[Batch] | None = None
        self._probed: list[Any] = []
        self._num_taken = 0
        self._hook_called = False
        self._may_begin_again = False
        self._call_began = False

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self._hook_called = self._may_begin_again = True
        for index in range(len(self)):
            yield self[index]

    @property
    def num_batches(self) -> int:
        """Number of batches of a pass, constant."""
        self._may_begin_again = self._hook_called
        return len(self)

    @property
    def workers(self) -> int:
        """One: more would lose and repeat rows, and the engine has threads of its own."""
        self._call_began = True  # Keras asks once at the beginning of fit, evaluate and predict
        self._look_at(call_of_keras())
        return 1

    @workers.setter
    def workers(self, value: int) -> None:
        if value != 1:
            raise ConfigError(f"workers={value}: Keras' own workers lose rows. Use rl.Engine(num_threads={value}).")

    @property
    def use_multiprocessing(self) -> bool:
        """False: see `workers`."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value:
            raise ConfigError("use_multiprocessing=True: Keras' own workers lose rows. Use rl.Engine(num_threads=...).")

    def bind(self, model: Any) -> Self:
        """Compare the batches with a model before anything is trained, and take the structure of its inputs.

        Names, number, shapes, dtypes and order of the inputs; and, where the batches have a target and the model is
        compiled, targets against outputs and losses. What a model does not tell (a subclassed one its inputs, a
        function its loss) is not judged. A model that `rowlock.keras.fit` has trained in this process only takes data
        that mean the same (`Dataset.meanings`); to train it on others, call `rowlock.keras.fit` again.

        Parameters
        ----------
        model : keras.Model

        Returns
        -------
        self
            For ``model.fit(loader.to_keras().bind(model))``.

        Raises
        ------
        ConfigError
            Something would fail later, or be wrong without a word; the message says what to write instead.
        """
        refuse_other(model, self.loader.dataset, with_target=bool(self.loader.dataset.target_specs))
        return self.bind_anew(model)

    def bind_anew(self, model: Any) -> Self:
        """Compare them as `bind` does, whatever the model was trained on before."""
        self.structure, self.order = bind(self.loader, model, self.structure)
        return self

    def on_epoch_begin(self) -> None:
        """Note that Keras may begin a pass; called by Keras."""
        self._hook_called = True

    def on_epoch_end(self) -> None:
        """Note that Keras may have ended a pass; called by Keras."""
        self._hook_called = True

    def __getitem__(self, index: int) -> Any:
        with self._lock:
            try:
                return self._take()
            except BaseException as error:
                put_back_carried()
                self.last_error = error  # TensorFlow only passes its text on
                raise

    def _look_at(self, call: Call | None) -> None:
        if call is None:
            return
        if call.x is self and call.validation_data is self:
            raise ConfigError(
                "x and validation_data are the same object, which would train on every other epoch and validate with"
                " those between: give validation its own, validation_data=valid.batches(64, shuffle=False).to_keras()"
            )
        _refuse_call(call, self.loader)
        said = _said_of(call, self.loader)
        if said and call.name not in self._told:
            self._told.add(call.name)
            _LOG.warning("Keras' own %s: %s", call.name, said)
        if self.structure == "auto" and len(self.order) == 1:
            self._of_call = structure_of(call.model)

    def _take(self) -> Any:
        if self._num_taken >= len(self) or self._call_began:
            self._new_pass()
        elif self._may_begin_again and self._num_taken:
            self._begin_again()
        self._hook_called = self._may_begin_again = self._call_began = False
        if self._num_taken < len(self._probed):
            taken = self._probed[self._num_taken]
        else:
            structure = self._of_call if self.structure == "auto" else self.structure
            taken = converted(self._next(), structure, self.order)
            self._remember(taken)
        self._num_taken += 1
        return taken

    def _next(self) -> Batch:
        if self._epoch is None:
            self._epoch = iter(self.loader)
            if length_hint(self._epoch) != len(self):
                raise StateError(
                    f"this loader goes on within an epoch ({length_hint(self._epoch)} of {len(self)} steps are left),"
                    f" which Keras' own fit cannot be told. rowlock.keras.fit(model, loader,"
                    f" initial_epoch={self.loader.plan.place(self.loader.step).epoch}, epochs=...) trains the rest"
                )
        try:
            return next(self._epoch)
        except StopIteration:  # Keras would take it for the end of its own data
            raise LoaderClosedError("the loader was iterated elsewhere while Keras used it") from None

    def _remember(self, taken: Any) -> None:
        if self._num_taken < NUM_PROBED:
            self._probed.append(taken)
        else:
            self._probed = []

    def _begin_again(self) -> None:
        if self._num_taken > NUM_PROBED:  # no probe, but a pass that was stopped: the next epoch
            self._new_pass()
        self._num_taken = 0

    def _new_pass(self) -> None:
        if self._num_taken == 0:
            return
        self._epoch = None
        self._probed = []
        self._num_taken = 0


def _refuse_call(call: Call, loader: Loader) -> None:
    """Refuse what Keras would fail at in other words."""
    if call.name != "predict" and not loader.dataset.target_specs and getattr(call.model, "loss", None) is not None:
        raise ConfigError(
            f"{call.name} compares with a target, and these data have none: rl.Dataset(..., target=rl.Labels('label')),"
            " or rl.Column for a quantity"
        )


def _said_of(call: Call, loader: Loader) -> str:
    """Return what Keras does without a word, and only the user knows whether it is meant."""
    if call.name == "predict":
        return _disorder(loader)
    try:
        if getattr(call.model, "compiled", False):
            check_weights(loader, call.model)
    except ConfigError as error:
        return str(error)
    return ""


def _disorder(loader: Loader) -> str:
    plan = loader.plan
    if not plan.shuffle and plan.last != "pad":
        return ""
    how = "shuffle=True" if plan.shuffle else "last='pad'"
    return (
        f"under {how} the predictions are not those of the rows in their order:"
        " batches(..., shuffle=False, last='keep'). rowlock.keras.predict takes any loader, and gives a frame with keys"
    )


def _refuse_unfit(loader: Loader) -> None:
    """Refuse what Keras would get wrong without a word."""
    if loader.on_error == "skip":
        raise ConfigError("Keras wants every epoch of the same steps: on_error='mask' instead of 'skip'")
    disorder = "" if loader.dataset.target_specs else _disorder(loader)
    if disorder:
        raise ConfigError(f"without a target it can only predict, and {disorder}")
    if keras.backend.backend() == "jax":
        from rowlock.jax import refuse_64_bits  # noqa: PLC0415 - only where it is the backend

        refuse_64_bits(loader.dataset)
