"""Everything that a training is told, in one object that a file can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from rowlock.arguments import true_or_false, whole_number
from rowlock.bad_rows import OnError, check_policy
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["COLUMNS", "WITHOUT_EFFECT", "Config"]

COLUMNS: Final = "columns"
"""Name of the input that holds the table's own numbers."""

WITHOUT_EFFECT: Final = frozenset({"ablate", "cache", "max_bad", "on_error"})
"""What may change while a run goes on: no weight depends on it. (A row that is masked would have ended the run.)"""

PARTS: Final = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What `rowlock.training.train` makes of a table; the options of ``rowlock train``.

    Parameters
    ----------
    image : dict of str to str
        Column of paths, by the name of the input.
    size : (height, width)
        Of the pictures as the model gets them, in pixels.
    root : str, optional
        Folder, or beginning of URLs, that relative paths start from.
    remote : sequence of str
        Servers that pictures may be read from, as `rl.Remote` takes them: ``"https"``, ``"s3://bucket/photos/"``.
    verify : bool
        Compare the bytes of every picture with its digest, in the column of its path's name and ``_hash``.
    features : dict of str to str
        Address of a feature store, by the name of the input; standardised by the training rows.
    join : dict of str to str
        Column that joins a store, by the input's name, where it is not `key`.
    columns : sequence of str
        Numbers and categories that are in the table: the input ``"columns"``. Numbers are standardised, gaps filled by
        the mean; text becomes zeros and a one, see `rl.Categories`.
    target : str or sequence of str
        What is predicted: a column, or several of one kind.
    task : {"auto", "classes", "labels", "quantity"}
        What the target is, where its type does not say so.
    key : str, optional
        Column that identifies the rows.
    rows : int, optional
        At most so many rows, chosen by chance: for a first try.
    missing : {"raise", "drop"}
        What becomes of rows without a target, and of keys that a store does not have.
    split : sequence of float
        Shares of training, validation and test; the last two may be left out. Without validation nothing is stopped
        early; without a test part, the validation part is measured.
    stratify : str or bool
        Column whose values have their share in every part. True: the target, if it is one column of classes.
    group : str, optional
        Column whose equal values stay in one part; then only a named column stratifies.
    seed : int
        Of split, order, augmentation and weights.
    epochs : int
        At most so many.
    batch_size : int
    learning_rate : float
        At its highest; it rises over the first twentieth of the steps and falls as a cosine to nearly nothing.
    patience : int
        Epochs without a better validation loss after which training ends. 0: never early.
    augment : bool
        Vary training pictures a little: flip, crop, brightness, contrast.
    branches : dict of str to str
        What an input goes through: ``"convnet"`` or the name of a model of keras.applications for pictures, with the
        path of a weights file behind a colon if wanted; ``"dense"`` or ``"none"`` for numbers.
    freeze : sequence of str
        Inputs whose branch is not trained: a backbone with weights.
    class_weights : {"none", "balanced"}
        ``"balanced"``: each class counts equally in the loss.
    sampling : {"all", "balanced"}
        ``"balanced"``: each class is drawn equally often.
    mixed_precision : bool
        Compute in 16 bits: float16 on a GPU, bfloat16 elsewhere.
    ablate : bool
        Train each branch alone as well.
    on_error : {"raise", "mask"}
        What becomes of rows that cannot be read.
    max_bad : float
        Most of them, as a share.
    cache : str, optional
        Folder for decoded pictures.

    Raises
    ------
    ConfigError
        A value that cannot be; the message says which and what may stand there.
    """

    image: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (150, 150)
    root: str | None = None
    remote: Sequence[str] = ()
    verify: bool = False
    features: Mapping[str, str] = field(default_factory=dict)
    join: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()
    target: str | Sequence[str] = ()
    task: str = "auto"
    key: str | None = None
    rows: int | None = None
    missing: str = "raise"
    split: Sequence[float] = (0.8, 0.1, 0.1)
    stratify: str | bool = True
    group: str | None = None
    seed: int = 0
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    patience: int = 5
    augment: bool = True
    branches: Mapping[str, str] = field(default_factory=dict)
    freeze: Sequence[str] = ()
    class_weights: str = "none"
    sampling: str = "all"
    mixed_precision: bool = False
    ablate: bool = False
    on_error: OnError = "raise"
    max_bad: float = 0.01
    cache: str | None = None

    def __post_init__(self) -> None:
        self._tidy()
        self._check_numbers()
        self._check_choices()
        self._check_names()

    def _tidy(self) -> None:
        """Give equal configurations equal values."""
        for name in ("image", "features", "join", "branches"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise ConfigError(f"{name} is a dict, such as {{'image': 'imgpath'}}, not {given!r}")
            self._set(name, {str(key): str(value) for key, value in given.items()})
        for name in ("columns", "freeze", "remote"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} is a list: write [{getattr(self, name)!r}]")
            self._convert(name, lambda given: tuple(map(str, given)))
        self._convert("target", lambda given: given if isinstance(given, str) else tuple(map(str, given or ())))
        self._convert("size", tuple)
        self._convert("split", lambda given: tuple(map(float, given)))
        self._convert("learning_rate", float)
        self._convert("max_bad", float)

    def _convert(self, name: str, how: Callable[[Any], Any]) -> None:
        try:
            self._set(name, how(getattr(self, name)))
        except (TypeError, ValueError):
            default = next(part.default for part in fields(self) if part.name == name)
            raise ConfigError(f"{name} is such as {default!r}, not {getattr(self, name)!r}") from None

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_numbers(self) -> None:
        whole_number("seed", self.seed)
        for name, least in {"epochs": 1, "batch_size": 1, "patience": 0}.items():
            whole_number(name, getattr(self, name), least)
        if self.rows is not None:
            whole_number("rows", self.rows, 1)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate is a number above 0, such as 0.001, not {self.learning_rate!r}")
        if not 1 <= len(self.split) <= len(PARTS):
            raise ConfigError(
                f"split has the shares of training, validation and test, such as 0.8,0.1,0.1, not {self.split!r}"
            )
        for name in ("augment", "mixed_precision", "ablate", "verify"):
            true_or_false(name, getattr(self, name))

    def _check_choices(self) -> None:
        check_policy(self.on_error, world_size=1)
        choices = {
            "on_error": ("raise", "mask"),
            "missing": ("raise", "drop"),
            "class_weights": ("none", "balanced"),
            "sampling": ("all", "balanced"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be {' or '.join(map(repr, allowed))}, not {getattr(self, name)!r}")
        if self.class_weights == self.sampling == "balanced":
            raise ConfigError(
                "class_weights='balanced' and sampling='balanced' both undo the same imbalance: take one of them"
            )

    def _check_names(self) -> None:
        names = self.input_names
        if len(set(names)) < len(names):
            raise ConfigError(f"two inputs have one name: {', '.join(names)}")
        for what in ("branches", "freeze"):
            for name in getattr(self, what):
                if name not in names:
                    raise ConfigError(f"{what} names {name!r}, which is no input; the inputs are {', '.join(names)}")
        if self.ablate and len(names) < 2:
            raise ConfigError(f"ablate compares branches, but there is only one: {', '.join(names)}")

    @property
    def input_names(self) -> list[str]:
        """The inputs, in the order of the model."""
        return [*self.image, *self.features, *([COLUMNS] if self.columns else [])]

    def only(self, names: Sequence[str]) -> Config:
        """Return the configuration of a model of these inputs and no others."""
        image = {name: column for name, column in self.image.items() if name in names}
        return replace(
            self,
            image=image,
            verify=self.verify and bool(image),
            features={name: store for name, store in self.features.items() if name in names},
            join={name: column for name, column in self.join.items() if name in names},
            columns=self.columns if COLUMNS in names else (),
            branches={name: what for name, what in self.branches.items() if name in names},
            freeze=[name for name in self.freeze if name in names],
            ablate=False,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a file; what is None is left out."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Return the configuration that `to_dict` wrote.

        Raises
        ------
        ConfigError
            It holds a word that there is not.
        """
        known = {part.name for part in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"a configuration has no {unknown[0]!r}; it has {', '.join(sorted(known))}")
        return cls(**values)

    def differences(self, earlier: Config) -> list[str]:
        """Return in words what was otherwise in an earlier configuration, as far as it changes a model."""
        now, was = self.to_dict(), earlier.to_dict()
        names = [name for name in dict.fromkeys([*was, *now]) if name not in WITHOUT_EFFECT]
        return [
            f"{name} was {was.get(name, 'not given')}, is {now.get(name, 'not given')}"
            for name in names
            if was.get(name) != now.get(name)
        ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
