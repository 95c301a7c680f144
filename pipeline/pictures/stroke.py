"""What is drawn in a picture, without its paper: light, frames and dust are taken away.

The ground is a surface of second order through most of the pixels, so that light from a side and a
vignette don't count. Of what differs from it, frames, the edges of a scan and specks are left out.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Grey = NDArray[np.float64]  # H x W from 0 (black) to 255 (white)
Ink = NDArray[np.float64]  # H x W from 0 (paper) to 1 (a stroke)
Mask = NDArray[np.bool_]

_CONTRAST = 24
"""Out of 255: below it there is nothing drawn, but noise."""

_WEAK, _STRONG = 0.25, 0.5
"""Of a usual stroke's ink: strokes begin where it is strong, and go on where it is weak."""

_EDGE = 1 / 6
"""Of a picture's side: that far from its edges frames are looked for."""

_LEAST = 16
"""Pixels a side: a smaller picture has no paper around its drawing from which light and noise are known."""

_FEW = 8
"""Pixels that are too few for a drawing."""

_DARKEST = 0.1
"""Of the paper's usual grey: darker than that no shade makes it."""

_EIGHT = np.ones((3, 3), bool)  # pixels that touch at a corner are connected


def find_stroke(grey: Grey) -> Ink | None:
    """What is drawn in `grey`, cut out, dark on light or light on dark. None: nothing is."""
    ink = _ink(_without_frame(grey))
    if ink is None:
        return None
    usual = float(np.quantile(ink[ink > _otsu(ink)], 0.9))
    marked = ndimage.binary_propagation(ink > _STRONG * usual, _EIGHT, mask=ink > _WEAK * usual)
    marked = _drawing(_without_rules(marked))
    usual = float(np.quantile(ink[marked], 0.9))
    around = ndimage.binary_dilation(marked, _EIGHT, 1 + max(ink.shape) // 200)
    rows, columns = (np.flatnonzero(marked.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    drawn = np.clip(np.where(around, ink, 0)[box] / usual, 0, 1)
    return _thickened(drawn, 4 * float(ndimage.distance_transform_edt(marked)[marked].mean()))


def _thickened(ink: Ink, width: float) -> Ink:
    """`ink` of strokes that are `width` pixels wide, as wide as a felt pen's: a twelfth of its size.

    A fine pen's lines would be too pale to be seen once the drawing is twenty pixels high.
    """
    wanted = max(ink.shape) / 12
    more = round(wanted - width)
    if more < 0.3 * wanted:
        return ink
    thick: Ink = ndimage.grey_dilation(np.pad(ink, more // 2), (more + 1, more + 1))
    return thick


def _without_frame(grey: Grey) -> Grey:
    """`grey` without lines at its edges that are all of one grey, and not that of the paper beside them."""
    low, high = np.quantile(grey, [0.01, 0.99])
    step = max(0.2 * float(high - low), _CONTRAST)
    paper = float(np.median(grey[_inner(grey.shape)]))
    sides = [grey, grey[::-1], grey.T, grey.T[::-1]]
    reach = [int(len(side) * _EDGE) for side in sides]
    found = [
        _frame(side, most, across, step, paper)
        for side, most, across in zip(sides, reach, reach[2:] + reach[:2], strict=True)
    ]
    closed = sum(width > 0 for width, _ in found) == 4
    top, bottom, left, right = (width if closed or loose else 0 for width, loose in found)
    return grey[top : len(grey) - bottom, left : grey.shape[1] - right]


def _frame(side: Grey, most: int, across: int, step: float, paper: float) -> tuple[int, bool]:
    """Lines of a frame from the edge of `side` inwards; whether no drawing touches it there."""
    lines = side[: most + 1, across : side.shape[1] - across]
    if most < 1 or lines.shape[1] < 4:
        return 0, False
    levels = np.median(lines, axis=1)
    frame = np.abs(levels - levels[0]) < np.abs(levels - levels[-1])
    width = int(np.argmin(frame)) if not frame.all() else 0
    if width == 0 or abs(levels[0] - levels[-1]) < step:
        return 0, False
    even = np.abs(lines[:width] - levels[:width, None]) < step
    if even.mean() < 0.85:
        return 0, False
    blurred = abs(levels[width] - levels[-1]) > 0.15 * abs(levels[0] - levels[-1])
    width += int(blurred and width < most)
    crossed = np.abs(lines[width] - levels[width]) > step
    is_paper = abs(levels[0] - paper) < abs(levels[-1] - paper)  # with a stroke beside it
    return width, bool(crossed.mean() < 0.02 and not is_paper)


def _ink(grey: Grey) -> Ink | None:
    """How far each pixel of `grey` is from the paper, towards the side that the drawing is on."""
    contrast = _most(grey) + _most(-grey)
    if min(grey.shape) < 1 or contrast < _CONTRAST:
        return None
    level = _level(grey, contrast)
    ground = _ground(grey, level)
    differs = _evenly_lit(grey, ground, level)
    noise = _noise(differs)
    if noise > 0.03 * contrast:
        differs = ndimage.median_filter(differs, 3)
        noise = _noise(differs)
    ink = np.clip(differs if _is_bright(differs) else -differs, 0, None)
    return ink if _most(ink) > max(_CONTRAST, 5 * noise) else None


def _most(grey: Grey) -> float:
    """What the brightest pixels have, without the very brightest: however small a drawing is on its sheet."""
    rank = min(_FEW, grey.size // 500)
    return float(np.partition(grey, -rank - 1, axis=None)[-rank - 1])


def _is_bright(differs: Grey) -> bool:
    """Whether the drawing is brighter than its paper: the larger differences are."""
    return bool((differs**3).sum() > 0)


def _noise(differs: Grey) -> float:
    """The standard deviation of what differs to the side that nothing is drawn on."""
    if min(differs.shape) < _LEAST:  # all of it is the drawing
        return 0.0
    other = differs[differs < 0] if _is_bright(differs) else differs[differs > 0]
    return float(np.median(np.abs(other))) / 0.6745 if other.size else 0.0


def _level(grey: Grey, contrast: float) -> float:
    """The paper's grey: that of most pixels, or of most at the edges where the drawing is bold."""
    edges = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    edge = float(np.median(edges))
    bold = (np.abs(grey - edge) < contrast / 4).mean() > 0.35
    return edge if bold else float(np.median(grey))


def _ground(grey: Grey, level: float) -> Grey:
    """The paper's grey under each pixel: `level`, a surface of second order, or a median of what is near.

    A good ground makes a drawing two greys, paper and ink. The simplest is taken that does: one that
    bends follows the drawing, too.
    """
    best = even = np.full(grey.shape, level)
    if min(grey.shape) < _LEAST:
        return even
    factor = -(-max(grey.shape) // 64)
    small = np.asarray(Image.fromarray(grey.astype(np.float32)).reduce(factor), np.float64)
    least = _mixture(small, np.full(small.shape, level), level)
    for ground in _grounds(small, level):
        if (mixture := _mixture(small, ground, level)) < 0.6 * least:
            image = Image.fromarray(ground.astype(np.float32))
            size = grey.shape[1], grey.shape[0]
            best = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float64)
            least = mixture
    return best


def _grounds(grey: Grey, level: float) -> Iterator[Grey]:
    """What the paper may look like: bent, or with the edge of a shadow; no stroke is a third as wide."""
    window = [int(side * 0.33) for side in grey.shape]
    surface = _surface(grey)
    # Known once most of the light is out of the picture.
    bright = _is_bright(grey - surface)
    # Else it is no light: a lamp's falls more steeply.
    if bright or surface.min() > _DARKEST * level:
        yield surface
    yield (ndimage.grey_opening if bright else ndimage.grey_closing)(grey, window)


def _evenly_lit(grey: Grey, ground: Grey, level: float) -> Grey:
    """What differs from `ground`. Where ink is dark, all of it is darker in the shade."""
    differs = grey - ground
    return (
        differs
        if _is_bright(differs)
        else differs * (level / np.clip(ground, max(_DARKEST * level, 1), None))
    )


def _mixture(grey: Grey, ground: Grey, level: float) -> float:
    """How far `grey` is from two greys once it is lit evenly: 0 where it is just paper and ink.

    It is the variance within the two, as in Otsu's criterion, over their squared distance.
    """
    lit = _evenly_lit(grey, ground, level)
    if np.ptp(lit) < _CONTRAST:  # it is the picture of a sheet
        return 0.0
    above = lit > _otsu(lit)
    within = above.mean() * lit[above].var() + (~above).mean() * lit[~above].var()
    return float(within / (lit[above].mean() - lit[~above].mean()) ** 2)


def _surface(grey: Grey) -> Grey:
    """The surface of second order through most of the pixels: the sum of distances is least."""
    y, x = (
        part.ravel()
        for part in np.meshgrid(*(np.linspace(-1, 1, n) for n in grey.shape), indexing="ij")
    )
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    values = grey.ravel()
    factors: NDArray[np.floating] = np.zeros(6)
    for _ in range(20):
        weighted = terms / np.maximum(np.abs(values - terms @ factors), 1.0)[:, None]
        factors = np.linalg.solve(weighted.T @ terms, weighted.T @ values)
    surface: Grey = (terms @ factors).reshape(grey.shape)
    return surface


def _otsu(ink: Ink) -> float:
    """The threshold with the least variance on both its sides (Otsu 1979)."""
    counts, edges = np.histogram(ink, 128)
    middles = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], np.cumsum(counts * middles)
    above = ink.size - below
    apart = total[:-1] / np.maximum(below, 1) - (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(edges[np.argmax(below * above * apart**2) + 1])


def _without_rules(marked: Mask) -> Mask:
    """`marked` without lines from edge to edge, as ruled and squared paper has them.

    All of it, where what is left is little or touches an edge: then the lines are strokes, cut close.
    """
    if min(marked.shape) < 2 * _LEAST:
        return marked
    rules = np.zeros_like(marked)
    for axis in (0, 1):
        lines = marked.mean(axis=1 - axis) > 0.9
        if lines.sum() < 4:  # at the very edge they may be the top of a seven
            lines[[0, -1]] = False
        rules |= np.expand_dims(lines, 1 - axis)
    left = marked & ~rules
    edges = (left[0], left[-1], left[:, 0], left[:, -1])
    if rules.mean() > 0.4 or left.sum() < max(left.shape) or any(edge.any() for edge in edges):
        return marked
    crossed: Mask = ndimage.binary_closing(left, _EIGHT, 2) & marked
    return left | crossed


def _drawing(marked: Mask) -> Mask:
    """The parts of `marked` that belong to one drawing; all of it where nothing else would be left."""
    parts, count = ndimage.label(marked, _EIGHT)
    if count < 2:
        return marked
    areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(parts)
    middle = np.bincount(parts[_inner(parts.shape)].ravel(), minlength=count + 1)[1:]
    touching = np.isin(
        np.arange(count) + 1, np.concatenate([parts[0], parts[-1], *parts.T[[0, -1]]])
    )
    edge = touching & (middle < 0.05 * areas)  # it stays where the picture ends
    kept = [n for n in range(count) if not _is_frame(n, parts, areas, boxes)]
    kept = [n for n in kept if not edge[n]] or kept or list(range(count))
    main = max(kept, key=lambda n: areas[n])
    away = ndimage.distance_transform_edt(parts != main + 1)
    size = max(side.stop - side.start for side in boxes[main])
    near = ndimage.minimum(away, parts, np.arange(1, count + 1)) < 0.2 * size
    kept = [n for n in kept if areas[n] >= (0.03 if near[n] else 0.15) * areas[main]]
    drawing: Mask = np.isin(parts, np.asarray(kept) + 1)
    return drawing


def _is_frame(
    number: int, parts: NDArray[np.int32], areas: NDArray[np.int64], boxes: list[tuple[slice, ...]]
) -> bool:
    """Whether part `number` is a box around others: it keeps to its edges, and they fill its middle."""
    box = parts[boxes[number]]
    own, others = box == number + 1, (box > 0) & (box != number + 1)
    if others.sum() < 0.1 * areas[number]:
        return False
    inner = _inner(box.shape)
    spans = (np.ptp(np.flatnonzero(others.any(axis))) + 1 for axis in (1, 0))
    long = any(span > 0.25 * side for span, side in zip(spans, box.shape, strict=True))
    return bool(long and own[inner].sum() < 0.1 * areas[number])


def _inner(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(int(n * _EDGE), n - int(n * _EDGE)) for n in shape)
