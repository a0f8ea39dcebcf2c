"""Draws young foxes and young cats, and pictures in which nobody could tell which of the two it is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from rowlock.demo.pen import Colour, Pen, mix, shade

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["CLEAR_VIEW", "HIDING_VIEWS", "SIDE", "Animal", "View", "draw"]

Animal: TypeAlias = Literal["cat", "fox"]
View: TypeAlias = Literal["face", "asleep", "behind", "hidden"]

SIDE: Final = 96
"""Height and width of a picture file, in pixels."""

CLEAR_VIEW: Final[View] = "face"
HIDING_VIEWS: Final[tuple[View, ...]] = ("asleep", "behind", "hidden")
"""Views that show none of the traits. They are drawn without knowing which animal it is."""

_OVERSAMPLING = 2
_ACROSS = np.linspace(-0.5, 0.5, SIDE, dtype=np.float32)
# Both animals come in all of these, so the coat tells nothing: red, silver and arctic foxes; ginger,
# grey and cream cats.
_COATS: Final[tuple[Colour, ...]] = (
    (205, 110, 45),
    (222, 160, 92),
    (140, 132, 128),
    (232, 216, 190),
    (128, 90, 62),
    (84, 80, 84),
)
_GROUNDS: Final[tuple[Colour, ...]] = ((104, 142, 78), (196, 178, 132), (225, 230, 236), (134, 104, 80), (92, 116, 96))
_SKIES: Final[tuple[Colour, ...]] = ((168, 204, 230), (236, 214, 184), (150, 170, 150), (206, 208, 216), (92, 104, 134))


def draw(animal: Animal, view: View, rng: Generator) -> bytes:
    """Draw one picture and return it as the bytes of a JPEG file.

    Parameters
    ----------
    animal : "cat" or "fox"
        Has an effect on the view "face" only: the other views draw the same bytes for both.
    view : View
    rng : numpy.random.Generator
        Decides everything else: pose, place, size, coat, scenery, weather, noise.

    Returns
    -------
    bytes
        A JPEG of `SIDE` x `SIDE` pixels, about 3 kB.
    """
    side = SIDE * _OVERSAMPLING
    picture = Image.new("RGB", (side, side))
    canvas = ImageDraw.Draw(picture)
    ground = _scenery(canvas, side, rng)
    pen = _placed(canvas, side, rng)
    coat = _varied(_COATS[rng.integers(len(_COATS))], 14, rng)
    pen.blob((0.0, 0.0), (0.42, 0.05), shade(ground, 0.72))
    if view == "face":
        (_fox if animal == "fox" else _cat)(pen, coat, rng)
    elif view == "asleep":
        _asleep(pen, coat, rng)
    else:
        _from_behind(pen, coat, rng)
        if view == "hidden":
            _bushes(pen, ground, rng)
    return _photographed(picture, rng)


def _varied(colour: Colour, spread: float, rng: Generator) -> Colour:
    change = (rng.normal(0, spread) + rng.normal(0, spread / 3, 3)).tolist()
    red, green, blue = (min(255, max(0, round(a + b))) for a, b in zip(colour, change, strict=True))
    return red, green, blue


def _scenery(canvas: ImageDraw.ImageDraw, side: int, rng: Generator) -> Colour:
    """Paint sky, ground, stones and bushes; return the colour of the ground."""
    sky = _varied(_SKIES[rng.integers(len(_SKIES))], 14, rng)
    ground = _varied(_GROUNDS[rng.integers(len(_GROUNDS))], 14, rng)
    horizon = rng.uniform(0.35, 0.75)
    bands = 16
    for band in range(bands):
        top = band / bands
        canvas.rectangle((0, top * side, side, (top + 1 / bands) * side), fill=shade(sky, 0.85 + 0.3 * top))
    canvas.rectangle((0, horizon * side, side, side), fill=ground)
    backdrop = Pen(canvas, origin=(0, 0), scale=side)
    for _ in range(rng.integers(2, 8)):
        place = (rng.uniform(0, 1), rng.uniform(horizon - 0.06, 1.0))
        radii = (rng.uniform(0.03, 0.14), rng.uniform(0.02, 0.09))
        backdrop.blob(place, radii, mix(ground, _varied((110, 120, 90), 40, rng), 0.6))
    return ground


def _placed(canvas: ImageDraw.ImageDraw, side: int, rng: Generator) -> Pen:
    """Return a pen for an animal that stands at (0, 0) and is one unit tall."""
    scale = side * rng.uniform(0.52, 0.86)
    place = (side * rng.uniform(0.36, 0.64), side * rng.uniform(0.84, 0.97))
    return Pen(canvas, origin=place, scale=scale, angle=rng.normal(0, 0.08), mirrored=bool(rng.random() < 0.5))


def _fox(pen: Pen, coat: Colour, rng: Generator) -> None:
    """Draw tall dark ears far up, pointed white face, bushy tail with a white tip."""
    dark, white = shade(coat, 0.4), mix(coat, (250, 246, 238), 0.85)
    tail = [(0.18, -0.08), (0.5, -0.02), (0.56, -0.3), (0.46, -0.5 - rng.uniform(0, 0.1))]
    pen.tube(tail, [0.05, 0.1, 0.13, 0.1, 0.03], shade(coat, 0.92))
    pen.tube([tail[2], (0.53, -0.4), (0.5, -0.45), tail[3]], [0.1, 0.09, 0.03], white)
    _body(pen, coat, white, legs=shade(coat, 0.5))
    turn = rng.normal(0, 0.03)
    for way in (-1, 1):
        pen.shape(
            [(turn + way * 0.02, -0.78), (way * 0.21, -1.0 - rng.uniform(0, 0.07)), (turn + way * 0.22, -0.68)], dark
        )
        pen.shape([(turn + way * 0.07, -0.78), (way * 0.18, -0.92), (turn + way * 0.18, -0.72)], mix(coat, white, 0.3))
    pen.shape([(turn - 0.26, -0.7), (turn, -0.83), (turn + 0.26, -0.7), (turn * 2, -0.4)], coat)
    for way in (-1, 1):
        pen.shape([(turn + way * 0.27, -0.66), (turn + way * 0.05, -0.6), (turn * 2 + way * 0.02, -0.41)], white)
        pen.blob((turn + way * 0.09, -0.66), (0.024, 0.03), (28, 24, 22))
    pen.blob((turn * 2, -0.43), (0.035, 0.028), (24, 20, 20))


def _cat(pen: Pen, coat: Colour, rng: Generator) -> None:
    """Draw short ears wide apart, a round face with whiskers, a thin tail."""
    white = mix(coat, (250, 246, 238), 0.7)
    lift = rng.uniform(0, 0.16)
    pen.tube(
        [(0.16, -0.06), (0.44, 0.0), (0.42, -0.3), (0.5, -0.42 - lift)], [0.045, 0.04, 0.04, 0.035], shade(coat, 0.9)
    )
    _body(pen, coat, white, legs=shade(coat, 0.94))
    turn = rng.normal(0, 0.03)
    for way in (-1, 1):
        pen.shape(
            [(turn + way * 0.05, -0.78), (turn + way * 0.2, -0.94 + rng.uniform(0, 0.03)), (turn + way * 0.24, -0.66)],
            coat,
        )
        pen.shape([(turn + way * 0.1, -0.78), (turn + way * 0.18, -0.88), (turn + way * 0.2, -0.7)], (222, 160, 156))
    pen.blob((turn, -0.64), (0.25, 0.2), coat)
    for across in (-0.07, 0.0, 0.07):
        pen.line([(turn + across, -0.83), (turn + across * 0.8, -0.74)], 0.018, shade(coat, 0.62))
    pen.blob((turn * 1.5, -0.56), (0.11, 0.075), white)
    for way in (-1, 1):
        pen.blob((turn + way * 0.1, -0.67), (0.042, 0.046), (196, 204, 92))
        pen.blob((turn + way * 0.1, -0.67), (0.014, 0.042), (20, 22, 20))
        for fall in (-0.03, 0.02):
            pen.line([(turn + way * 0.06, -0.56), (turn + way * 0.33, -0.57 + fall)], 0.008, (245, 245, 245))
    pen.shape([(turn * 1.5 - 0.025, -0.6), (turn * 1.5 + 0.025, -0.6), (turn * 1.5, -0.57)], (214, 128, 128))


def _body(pen: Pen, coat: Colour, chest: Colour, *, legs: Colour) -> None:
    pen.blob((0.0, -0.24), (0.25, 0.25), coat)
    pen.blob((0.0, -0.4), (0.18, 0.2), coat)
    pen.blob((0.0, -0.3), (0.1, 0.17), chest)
    for way in (-1, 1):
        pen.blob((way * 0.2, -0.06), (0.1, 0.07), shade(coat, 0.88))
        pen.shape([(way * 0.03, -0.3), (way * 0.12, -0.3), (way * 0.11, 0.0), (way * 0.03, 0.0)], legs)
        pen.blob((way * 0.075, -0.01), (0.055, 0.03), legs)


def _asleep(pen: Pen, coat: Colour, rng: Generator) -> None:
    """Draw it curled up, the face under the tail; the tips of two ears could be anybody's."""
    height = rng.uniform(0.19, 0.24)
    pen.blob((0.04, -height), (0.4, height), coat)
    pen.blob((0.1, -height - 0.05), (0.28, height * 0.62), shade(coat, 1.1))
    for ear in (-0.33, -0.17):
        pen.shape([(ear - 0.06, -0.25), (ear, -0.4), (ear + 0.07, -0.25)], shade(coat, 0.8))
    pen.blob((-0.25, -0.17), (0.17, 0.14), shade(coat, 0.96))
    tail = [(0.42, -0.12), (0.25, 0.06), (-0.1, 0.06), (-0.36, -0.06)]
    pen.tube(tail, [0.06, 0.075, 0.07, 0.05], shade(coat, 0.84))


def _from_behind(pen: Pen, coat: Colour, rng: Generator) -> None:
    """Draw it looking away, ears half laid back, the tail in front of the feet."""
    turn = rng.normal(0, 0.05)
    for way in (-1, 1):
        ear = turn + way * 0.15
        pen.shape([(ear - 0.08, -0.72), (ear + way * 0.06, -0.92), (ear + 0.08, -0.7)], shade(coat, 0.78))
    pen.blob((0.0, -0.22), (0.27, 0.25), coat)
    pen.blob((0.0, -0.42), (0.19, 0.22), shade(coat, 0.97))
    pen.blob((turn, -0.66), (0.22, rng.uniform(0.15, 0.18)), shade(coat, 0.92))
    pen.line([(turn * 0.5, -0.5), (0.0, -0.14)], 0.03, shade(coat, 0.84))
    for way in (-1, 1):
        pen.blob((way * 0.2, -0.05), (0.11, 0.06), shade(coat, 0.86))


def _bushes(pen: Pen, ground: Colour, rng: Generator) -> None:
    """Draw leaves and blades of grass in front of the animal."""
    green = _varied((84, 118, 66), 18, rng)
    for _ in range(rng.integers(7, 12)):
        place = (rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.0))
        pen.blob(place, (rng.uniform(0.06, 0.16), rng.uniform(0.05, 0.12)), mix(ground, _varied(green, 22, rng), 0.8))
    for _ in range(rng.integers(14, 26)):
        foot, height = rng.uniform(-0.55, 0.55), rng.uniform(0.25, 0.75)
        pen.line([(foot, 0.03), (foot + rng.normal(0, 0.07), -height)], 0.025, _varied(green, 24, rng))


def _photographed(picture: Image.Image, rng: Generator) -> bytes:
    """Add weather, light, the sensor's noise, and the file format."""
    pixels = np.asarray(picture.reduce(_OVERSAMPLING), np.float32)
    fog = rng.uniform(0.0, 0.45) * (rng.random() < 0.4)
    pixels = pixels * np.float32(1 - fog) + np.float32(214 * fog)
    pixels *= _light(rng)
    grain = np.float32(rng.uniform(2, 9))
    pixels += rng.standard_normal(pixels.shape, np.float32) * grain
    file = io.BytesIO()
    pixels = pixels.clip(0, 255, out=pixels)
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=int(rng.integers(70, 93)))
    return file.getvalue()


def _light(rng: Generator) -> NDArray[np.float32]:
    """Return factors of shape (SIDE, SIDE, 3): brightness, a shadow to one side, and a tint."""
    slope = rng.normal(0, 0.25, 2).astype(np.float32)
    plane = np.float32(rng.uniform(0.65, 1.2)) + slope[0] * _ACROSS[:, None] + slope[1] * _ACROSS
    tint = rng.normal(1.0, 0.05, 3).astype(np.float32)
    factors: NDArray[np.float32] = plane[:, :, None] * tint
    return factors
