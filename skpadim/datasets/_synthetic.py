"""Synthetic inspection pictures: a turned steel flange on a conveyor belt.

Each picture is made as a camera would get it. A part with a pose lies on a belt: a map of heights,
of what is metal, and of colours. A defect is a change of these maps. Light falls on them, a lens
blurs, a sensor adds noise. The mask is where the picture with the defect differs from the
picture without.
"""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.utils import Bunch, check_random_state

from skpadim._sizes import Size, check_size

# Lengths are in units of the flange's outer radius, which is this share of the shorter side.
_OUTER_RADIUS = 0.41
_BORE_RADIUS = 0.25
_HUB_RADIUS = 0.50
_BOLT_CIRCLE = 0.745
_BOLT_RADIUS = 0.085
_N_BOLTS = 6
_CHAMFER = 0.035

_STEEL = (0.97, 1.0, 1.02)
_BELT = (0.88, 1.0, 0.97)

# A change of this many grey levels, well above the sensor's noise, is what the mask calls defect.
_NOTICEABLE = 6 / 255

_SMALLEST_SIDE = 64


@dataclass(frozen=True)
class _Part:
    """What lies before the camera; all maps are float32 of shape (height, width)."""

    x: NDArray  # coordinates from the part's centre, in outer radii, turning with the part
    y: NDArray
    pixel: float  # side of a pixel, in the same unit
    height: NDArray  # of the surface, in the same unit
    metal: NDArray  # share of the pixel that is metal rather than belt
    gloss: NDArray  # share of the mirror-like reflection that is left
    colour: NDArray  # what the surface does to white light, (height, width, 3)


@dataclass(frozen=True)
class _Light:
    """A lamp at a height, aside of the camera."""

    angle: float
    strength: float
    tilt: tuple[float, float]  # brightness gradient over the picture
    tint: NDArray  # white balance, (3,)


def make_inspection_images(
    n_good: int = 60,
    n_defective: int = 20,
    *,
    image_size: int | Size = 256,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Make pictures of a machined part, some with defects, with exact masks.

    A turned steel flange lies on a conveyor belt under a lamp. Good parts differ as real ones do:
    in position by about a pixel, in angle by about a degree, in the marks that the tool left, in
    light and in sensor noise. Each defective one has one of four defects in turn: a "scratch", a
    "dent", a "stain" or a "missing_piece", of random place, size and strength.

    Parameters
    ----------
    n_good : int, default=60
        Number of pictures of good parts.
    n_defective : int, default=20
        Number of pictures of defective parts.
    image_size : int or tuple of int, default=256
        Height and width in pixels, at least 64. A single number is both.
    random_state : int, RandomState instance or None, default=None
        Draws everything. Pass an int for the same pictures at each call.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes. Good parts come first.

        images : ndarray of shape (n_samples, height, width, 3), uint8
            The pictures, RGB.
        y : ndarray of shape (n_samples,), int
            +1 for good parts, -1 for defective ones.
        masks : ndarray of shape (n_samples, height, width), bool
            True where a defect changes the picture by 6 grey levels of 256 or more in one of the
            colours, before the sensor's noise. Gaps of a few pixels within a defect are closed.
        defects : ndarray of shape (n_samples,), str
            Names of the defects, "good" for good parts.
        DESCR : str
            Description of the data set.

    Raises
    ------
    ValueError
        If a number of pictures is negative or `image_size` is too small.

    See Also
    --------
    load_folder, load_mvtec_ad : Real images.

    Notes
    -----
    The pictures are for learning, examples and tests. How well a detector does on them says little
    about real parts.

    Examples
    --------
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(2, 4, random_state=0)
    >>> parts.images.shape
    (6, 256, 256, 3)
    >>> print(*parts.defects)
    good good scratch dent stain missing_piece
    """
    for name, number in (("n_good", n_good), ("n_defective", n_defective)):
        if not isinstance(number, Integral) or number < 0:
            raise ValueError(f"{name} must be an int of at least 0; got {number!r}.")
    height, width = check_size(image_size, "image_size", smallest=_SMALLEST_SIDE)
    kinds = list(_DEFECTS)
    defects = ["good"] * n_good + [kinds[i % len(kinds)] for i in range(n_defective)]
    images = np.empty((len(defects), height, width, 3), dtype=np.uint8)
    masks = np.zeros((len(defects), height, width), dtype=bool)
    # A seed for each picture: the good ones stay the same whatever defects are asked for, and a
    # defective one is the good one of the same seed, damaged.
    seeds = check_random_state(random_state).randint(2**31 - 1, size=len(defects))
    for index, (defect, seed) in enumerate(zip(defects, seeds, strict=True)):
        images[index], masks[index] = _photograph(defect, (height, width), seed)
    return Bunch(
        images=images,
        y=np.repeat([1, -1], [n_good, n_defective]),
        masks=masks,
        defects=np.array(defects, dtype=np.str_),
        DESCR=f"Synthetic pictures of a steel flange, {n_good} good and {n_defective} defective.",
    )


def _photograph(defect: str, size: Size, seed: int) -> tuple[NDArray, NDArray]:
    """Return one picture and its mask."""
    rng = np.random.RandomState(seed)
    part = _turn_part(rng, size)
    belt = _lay_belt(rng, part)
    marks = _tool_marks(rng, part)
    light = _switch_on_light(rng)
    noise = rng.standard_normal((*size, 3)).astype(np.float32)
    scene = _expose(part, belt, marks, light)
    mask = np.zeros(size, dtype=bool)
    if defect == "good":
        return _sense(scene, noise), mask
    while not mask.any():  # a thin scratch can get lost in a small picture: draw another
        damaged = _expose(_DEFECTS[defect](rng, part), belt, marks, light)
        changed = np.abs(damaged - scene).max(axis=2) >= _NOTICEABLE
        # Where the bright and the dark side of a dent meet, nothing changed: close that gap.
        mask = ndimage.binary_closing(changed, iterations=max(1, round(0.02 / part.pixel)))
    return _sense(damaged, noise), mask


# The part, the belt and the light


def _turn_part(rng: np.random.RandomState, size: Size) -> _Part:
    """Turn a flange: a disc with a raised hub, a bore with a keyway, and a circle of bolt holes."""
    radius = _OUTER_RADIUS * min(size) * rng.normal(1, 0.002)
    centre_y, centre_x = (np.array(size) - 1) / 2 + rng.normal(0, 0.004 * radius, 2)
    angle = rng.normal(0, np.deg2rad(0.8))
    rows = ((np.arange(size[0]) - centre_y) / radius).astype(np.float32)[:, None]
    columns = ((np.arange(size[1]) - centre_x) / radius).astype(np.float32)[None, :]
    x = columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))
    y = rows * np.float32(np.cos(angle)) - columns * np.float32(np.sin(angle))

    r = np.hypot(x, y)
    # Signed distances into the metal, from the rim, the bore with its keyway, and the bolt holes.
    keyway = np.maximum(np.abs(x) - 0.06, np.abs(y + _BORE_RADIUS) - 0.085)
    from_bore = np.minimum(r - _BORE_RADIUS, keyway)
    from_bolt = _distance_to_bolts(x, y) - _BOLT_RADIUS
    edge = np.minimum(np.minimum(1 - r, from_bore), from_bolt)
    pixel = 1 / radius
    hub = 0.05 * _smoothstep((_HUB_RADIUS + 0.025 - r) / 0.05)
    return _Part(
        x=x,
        y=y,
        pixel=pixel,
        height=np.clip(edge, 0, _CHAMFER) + hub,
        metal=np.clip(edge / np.float32(pixel) + 0.5, 0, 1),
        gloss=np.ones_like(r),
        colour=np.broadcast_to(np.array(_STEEL, dtype=np.float32), (*size, 3)),
    )


def _distance_to_bolts(x: NDArray, y: NDArray) -> NDArray:
    sector = np.float32(2 * np.pi / _N_BOLTS)
    angle = np.arctan2(y, x)
    angle -= sector * np.round(angle / sector)
    r = np.hypot(x, y)
    return np.hypot(r * np.cos(angle) - np.float32(_BOLT_CIRCLE), r * np.sin(angle))


def _lay_belt(rng: np.random.RandomState, part: _Part) -> NDArray:
    """Brightness of a worn rubber belt with a woven face, darker in the shadow of the part."""
    shape = part.x.shape
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + rng.uniform(0, 100)
    columns = np.arange(shape[1], dtype=np.float32)[None, :] + rng.uniform(0, 100)
    pitch = 0.055 / part.pixel
    weave = np.sin(2 * np.pi / pitch * (rows + columns))
    weave *= np.sin(2 * np.pi / pitch * (rows - columns))
    wear = _smooth_noise(rng, shape, 9) * 0.012 + _smooth_noise(rng, shape, 64) * 0.012
    shadow = _smoothstep((1.13 - np.hypot(part.x - 0.06, part.y - 0.07)) / 0.16)
    return (0.23 + 0.016 * weave + wear) * (1 - 0.65 * shadow)


def _tool_marks(rng: np.random.RandomState, part: _Part) -> NDArray:
    """Fine rings that the tool left, each along some part of the turn."""
    rings = rng.standard_normal((160, 12)).astype(np.float32)
    rings += rng.standard_normal((160, 1)).astype(np.float32)
    r = np.hypot(part.x, part.y) * 150
    turn = (np.arctan2(part.y, part.x) / np.float32(2 * np.pi) + 0.5) * 12
    marks = ndimage.map_coordinates(rings, [r, turn], order=1, mode="grid-wrap")
    return 0.022 * marks + 0.008 * _smooth_noise(rng, part.x.shape, 128)


def _switch_on_light(rng: np.random.RandomState) -> _Light:
    return _Light(
        angle=np.deg2rad(rng.normal(-128, 2)),
        strength=rng.normal(1, 0.025),
        tilt=(rng.normal(-0.05, 0.012), rng.normal(-0.06, 0.012)),
        tint=rng.normal(1, 0.006, 3).astype(np.float32),
    )


def _expose(part: _Part, belt: NDArray, marks: NDArray, light: _Light) -> NDArray:
    """Light on the sensor, in [0, 1] or a little above, (height, width, 3)."""
    slope_y, slope_x = np.gradient(part.height, np.float32(part.pixel))
    to_x, to_y = np.float32(np.cos(light.angle)), np.float32(np.sin(light.angle))
    # Lambert's law for a lamp 40 degrees above the table.
    towards = -(slope_x * to_x + slope_y * to_y)
    steepness = np.sqrt(1 + slope_x**2 + slope_y**2)
    diffuse = np.clip((0.64 + 0.77 * towards) / steepness, 0.22, None)
    # Turned metal shines where its rings run across the light: two bright wedges.
    r = np.hypot(part.x, part.y) + np.float32(1e-3)
    along = (part.x * to_x + part.y * to_y) / r
    shine = np.exp(-((1 - np.abs(along)) / 0.13)) / steepness**4
    metal = 0.68 * diffuse + part.gloss * 0.32 * shine
    metal *= 1 + marks * part.gloss * (1 + 1.5 * shine)
    scene = (part.metal * metal)[..., None] * part.colour
    scene += ((1 - part.metal) * belt)[..., None] * np.array(_BELT, dtype=np.float32)
    lamp = light.strength * (1 + light.tilt[0] * part.x + light.tilt[1] * part.y)
    scene *= lamp[..., None] * light.tint
    return ndimage.gaussian_filter(scene, (0.6, 0.6, 0), truncate=3)


def _sense(scene: NDArray, noise: NDArray) -> NDArray:
    """Photon and read-out noise, then 8 bits."""
    level = np.clip(scene, 0, None)
    signal = 255 * level + noise * np.sqrt(1.2 + 3 * level)
    return np.clip(np.rint(signal), 0, 255).astype(np.uint8)


# The defects: each returns a damaged copy of the part


def _scratch(rng: np.random.RandomState, part: _Part) -> _Part:
    """Cut one to three thin curved grooves that lay bare bright metal."""
    x0, y0 = _spot_on_face(rng)
    direction = rng.uniform(0, np.pi)
    length, bend = rng.uniform(0.08, 0.4), rng.normal(0, 0.35)
    height, colour, gloss = part.height, part.colour, part.gloss
    for _ in range(rng.choice([1, 1, 2, 3])):
        start, aside = rng.normal(0, 0.05), rng.normal(0, 0.025)
        along, across = _local_axes(part, x0, y0, direction + rng.normal(0, 0.06))
        across = across - aside - bend * along**2
        taper = np.clip(1 - ((along - start) / length) ** 2, 0, 1) ** 0.7
        width = max(rng.uniform(0.006, 0.013), 0.8 * part.pixel)
        groove = taper * np.exp(-((across / width) ** 2))
        height = height - rng.uniform(0.002, 0.011) * groove
        bare = (rng.uniform(0.04, 0.3) * groove)[..., None]
        colour = colour * (1 + bare)
        gloss = gloss * (1 - 0.6 * groove)
    return replace(part, height=height, colour=colour, gloss=gloss)


def _dent(rng: np.random.RandomState, part: _Part) -> _Part:
    """Press in a bowl with a raised lip, as a dropped part has it."""
    x0, y0 = _spot_on_face(rng)
    along, across = _local_axes(part, x0, y0, rng.uniform(0, np.pi))
    radius, stretch = rng.uniform(0.035, 0.1), rng.uniform(1, 1.6)
    q = np.hypot(along / stretch, across) / np.float32(radius)
    bowl = np.clip(1 - q**2, 0, None) ** 1.5
    lip = np.exp(-(((q - 1.1) / 0.25) ** 2))
    height = part.height + np.float32(radius * rng.uniform(0.08, 0.35)) * (0.18 * lip - bowl)
    bruised = _smoothstep((1.15 - q) / 0.3)
    return replace(
        part,
        height=height,
        gloss=part.gloss * (1 - 0.5 * bruised),
        colour=part.colour * (1 - 0.06 * bruised[..., None]),
    )


def _stain(rng: np.random.RandomState, part: _Part) -> _Part:
    """Let a spot of oil, rust or coolant dry, darker along its ragged edge."""
    x0, y0 = _spot_on_face(rng)
    along, across = _local_axes(part, x0, y0, rng.uniform(0, np.pi))
    radius = rng.uniform(0.08, 0.24)
    ragged = 0.3 * _smooth_noise(rng, part.x.shape, 16)
    ragged += 0.12 * _smooth_noise(rng, part.x.shape, 50)
    inside = 1 - np.hypot(along, across * rng.uniform(1, 1.7)) / np.float32(radius) + ragged
    film = _smoothstep(inside / 0.4)
    rim = film * np.exp(-(((inside - 0.25) / 0.2) ** 2))
    dyes = {"oil": (0.55, 0.47, 0.36), "rust": (0.75, 0.48, 0.30), "coolant": (0.62, 0.72, 0.74)}
    dye = np.array(list(dyes.values())[rng.randint(3)], dtype=np.float32)
    strength = np.float32(rng.uniform(0.2, 0.85))
    share = np.clip(strength * (0.6 * film + 0.4 * rim), 0, 1)[..., None]
    return replace(
        part,
        colour=part.colour * (1 - share * (1 - dye)),
        gloss=part.gloss * (1 - 0.5 * strength * film),
    )


def _missing_piece(rng: np.random.RandomState, part: _Part) -> _Part:
    """Break a piece out of the rim, with a rough fracture."""
    turn = rng.uniform(-np.pi, np.pi)
    along, across = _local_axes(part, 1.02 * np.cos(turn), 1.02 * np.sin(turn), turn + np.pi / 2)
    radius, stretch = rng.uniform(0.045, 0.15), rng.uniform(0.9, 1.7)
    rough = 0.14 * _smooth_noise(rng, part.x.shape, 18)
    rough += 0.05 * _smooth_noise(rng, part.x.shape, 60)
    left = np.float32(radius) * (np.hypot(along / stretch, across) / np.float32(radius) - 1 + rough)
    fracture = 1 - _smoothstep((left - 0.02) / 0.04)
    grain = 1 + 0.22 * _smooth_noise(rng, part.x.shape, 100)
    return replace(
        part,
        height=np.minimum(part.height, np.clip(0.7 * left, 0, None)),
        metal=np.minimum(part.metal, np.clip(left / np.float32(part.pixel) + 0.5, 0, 1)),
        gloss=part.gloss * (1 - fracture),
        colour=part.colour * (1 + fracture * (grain - 1))[..., None],
    )


_DEFECTS = {
    "scratch": _scratch,
    "dent": _dent,
    "stain": _stain,
    "missing_piece": _missing_piece,
}


# Tools


def _spot_on_face(rng: np.random.RandomState) -> tuple[float, float]:
    """Choose a point on the flange between two bolt holes, or on the hub away from the keyway."""
    if rng.uniform() < 0.75:
        r = rng.uniform(0.62, 0.88)
        turn = 2 * np.pi / _N_BOLTS * (rng.randint(_N_BOLTS) + 0.5) + rng.uniform(-0.2, 0.2)
    else:
        r = rng.uniform(0.35, 0.42)
        turn = rng.uniform(-0.3, np.pi + 0.3)
    return r * np.cos(turn), r * np.sin(turn)


def _local_axes(part: _Part, x0: float, y0: float, direction: float) -> tuple[NDArray, NDArray]:
    """Coordinates from (x0, y0), along `direction` and across it."""
    x, y = part.x - np.float32(x0), part.y - np.float32(y0)
    cos, sin = np.float32(np.cos(direction)), np.float32(np.sin(direction))
    return x * cos + y * sin, y * cos - x * sin


def _smoothstep(t: NDArray) -> NDArray:
    """0 below 0, 1 above 1, and smooth between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _smooth_noise(rng: np.random.RandomState, shape: tuple[int, ...], n_cells: int) -> NDArray:
    """Noise of unit variance at its knots, with `n_cells` knots along each side."""
    knots = rng.standard_normal((n_cells, n_cells)).astype(np.float32)
    resized = Image.fromarray(knots).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(resized)
