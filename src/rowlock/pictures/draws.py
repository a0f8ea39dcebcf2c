"""Random numbers that belong to one picture of one epoch, whoever asks for them, when, and in which order.

Algorithm ``augment-1``, counter-based (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011):

* the key is the first 64-bit word of SHAKE-256 over ``"rowlock augment-1 {seed} {epoch} {name}"``;
* the picture's state is ``mix(mix(key + G * row) + G * position)``, `row` being the row of the table and
  `position` the picture's place in the row's list, else 0;
* number `slot` of the picture is ``mix(state + G * (slot + 1))``; its upper 53 bits are a float in [0, 1).

All sums modulo 2**64; ``mix`` is the finaliser of splitmix64 (Steele et al. 2014), G = 0x9E3779B97F4A7C15 its step.
Every use has a slot of its own, so switching one augmentation on leaves the draws of all others as they were.
Golden files hold the numbers: they never change under this name.
"""

from __future__ import annotations

import enum

from rowlock.permutation import key_words

__all__ = ["ALGORITHM", "PictureDraw", "Slot"]

ALGORITHM = "augment-1"

_STEP = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class Slot(enum.IntEnum):
    """What each number of a picture is for."""

    FLIP = 0
    CROP_AREA = 1
    CROP_RATIO = 2
    CROP_TOP = 3
    CROP_LEFT = 4
    ROTATE = 5
    TRANSLATE_Y = 6
    TRANSLATE_X = 7
    BRIGHTNESS = 8
    CONTRAST = 9
    FUNCTION_LOW = 16
    FUNCTION_HIGH = 17


class PictureDraw:
    """The random numbers of one picture.

    Parameters
    ----------
    seed, epoch : int
        Of the run.
    name : str
        Of the input.
    row : int
        Of the table.
    position : int
        Place in the row's list of pictures.
    """

    def __init__(self, seed: int, epoch: int, name: str, row: int, position: int = 0) -> None:
        (key,) = key_words(f"rowlock {ALGORITHM} {seed} {epoch} {name}", 1).tolist()
        self._state = _mix(_mix(key + _STEP * row) + _STEP * position)

    def word(self, slot: int) -> int:
        """Return number `slot` as 64 random bits."""
        return _mix(self._state + _STEP * (slot + 1))

    def uniform(self, slot: int, low: float = 0.0, high: float = 1.0) -> float:
        """Return number `slot` as a float, ``low <= x < high`` up to rounding."""
        return low + (high - low) * (self.word(slot) >> 11) * 2.0**-53


def _mix(word: int) -> int:
    word &= _MASK
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & _MASK
    return word ^ (word >> 31)
