"""ImageJitter: images turned, zoomed and shifted a little, all at once."""

from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real

import numpy as np

from .._arguments import check_array_like, check_values, random_state_of
from .._compat import Interval, StrOptions
from .._messages import shown

PARAMETER_CONSTRAINTS = {
    "angle": [Interval(Real, 0, 180, closed="both")],
    "zoom": [Interval(Real, 0, 1, closed="left")],
    "shift": [Interval(Real, 0, 1, closed="both")],
    "fill": [StrOptions({"edge"}), Interval(Real, None, None, closed="neither")],
}
MOST_PIXELS = 2**15  # moved at once, so that they stay in the processor's cache


@dataclass(frozen=True)
class ImageJitter:
    """Images turned, zoomed and shifted a little, each by chance: an `augment` of `NWayKShot`.

    Rows are flattened images. Each is read, by bilinear interpolation, where a turn, a zoom of
    its height and another of its width, and a shift, each drawn for it alone, have taken the
    places of its pixels.

    Parameters
    ----------
    shape : tuple of int
        Of an image: (height, width), or (height, width, channels).
    angle : float, default=10.0
        Degrees by which an image is turned at most, either way.
    zoom : float, default=0.1
        Height and width are divided by numbers from ``1 - zoom`` to ``1 + zoom``.
    shift : float, default=0.07
        Share of height and width by which an image is shifted at most.
    fill : "edge" or float, default="edge"
        What is seen beyond the border of an image: its nearest pixel, or this value.

    Raises
    ------
    ValueError
        If a parameter will not do.

    See Also
    --------
    NWayKShot : Takes it as `augment`, and redraws the images of every task.

    Notes
    -----
    What is moved a little must be of the same class; what is mirrored or turned on its head need
    not be: so the defaults are small. They are for characters; photographs bear more.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_meta.tasks import ImageJitter, NWayKShot
    >>> X, y = load_digits(return_X_y=True)
    >>> jitter = ImageJitter((8, 8))
    >>> jitter(X, random_state=0).shape
    (1797, 64)
    >>> tasks = NWayKShot(X, y, augment=jitter)
    """

    shape: tuple
    _: KW_ONLY
    angle: float = 10.0
    zoom: float = 0.1
    shift: float = 0.07
    fill: float | str = "edge"

    def __post_init__(self):
        check_values(PARAMETER_CONSTRAINTS, vars(self), "ImageJitter")
        vars(self)["shape"] = _check_shape(self.shape)

    def __call__(self, rows, random_state=None):
        """The same images, each moved by chance.

        Parameters
        ----------
        rows : array-like of shape (n_images, height * width * channels)
            Whatever numbers; whole ones are rounded.
        random_state : int, RandomState or None, default=None

        Returns
        -------
        ndarray of shape (n_images, height * width * channels)
            Of the type of the rows.

        Raises
        ------
        TypeError
            If the rows are a dataframe.
        ValueError
            If they are no numbers, or not as many as the pixels of an image.
        """
        rows = self._check_rows(rows)
        matrices, offsets = self._draw(len(rows), random_state_of(random_state))
        height, width, n_channels = self._size
        images = rows.reshape(len(rows), height * width, n_channels)
        moved, n_each = np.empty_like(images), max(1, MOST_PIXELS // (height * width))
        for start in range(0, len(rows), n_each):
            part = slice(start, start + n_each)
            moved[part] = self._move(images[part], matrices[part], offsets[part])
        return moved.reshape(rows.shape)

    @property
    def _size(self):
        """Height, width and channels."""
        return (*self.shape, 1)[:3]

    def _check_rows(self, rows):
        """Rows as an array, contiguous and of numbers."""
        if hasattr(rows, "columns"):
            raise TypeError("rows are a dataframe, ImageJitter moves arrays: use X.to_numpy()")
        check_array_like(rows, "rows")
        rows = np.ascontiguousarray(rows)
        if rows.dtype.kind not in "fiu":
            raise ValueError(f"rows are of {rows.dtype}, ImageJitter expected numbers")
        self._check_fill(rows.dtype)
        if rows.ndim != 2 or rows.shape[1] != np.prod(self.shape):
            raise ValueError(
                f"rows have the shape {rows.shape}, ImageJitter expected (n_images, "
                f"{np.prod(self.shape)}) for images of {self.shape}"
            )
        return rows

    def _check_fill(self, dtype):
        """Raise where whole numbers of that type have none that it is."""
        if dtype.kind == "f" or self.fill == "edge":
            return
        if not np.iinfo(dtype).min <= self.fill <= np.iinfo(dtype).max:
            raise ValueError(f"fill={self.fill} is no number that rows of {dtype} can hold")

    def _draw(self, n_images, random_state):
        """From a pixel's place to where it is read: ``matrix @ place + offset``.

        Returns
        -------
        matrices : ndarray of shape (n_images, 2, 2)
        offsets : ndarray of shape (n_images, 2)
        """
        size = np.array(self._size[:2])
        turn = np.radians(random_state.uniform(-self.angle, self.angle, n_images))
        scale = random_state.uniform(1 - self.zoom, 1 + self.zoom, (n_images, 2, 1))
        shift = random_state.uniform(-self.shift, self.shift, (n_images, 2)) * size
        cos, sin = np.cos(turn), np.sin(turn)
        matrices = scale * np.moveaxis(np.array([[cos, -sin], [sin, cos]]), 2, 0)
        centre = (size - 1) / 2
        return matrices, centre - matrices @ centre + shift

    def _move(self, images, matrices, offsets):
        """Images (images, pixels, channels) as they are seen at these places."""
        height, width, _ = self._size
        dtype = np.result_type(images.dtype, np.float32)
        places = np.indices((height, width), dtype).reshape(2, -1)
        where = matrices.astype(dtype) @ places + offsets[..., None].astype(dtype)
        most = np.array([[height - 1], [width - 1]], dtype)
        inside = np.clip(where, 0, most)  # (images, 2, pixels)
        seen = _bilinear(images, inside, width)
        if self.fill != "edge":
            seen[np.any(inside != where, axis=1)] = self.fill
        return seen if images.dtype.kind == "f" else np.rint(seen)


def _bilinear(images, where, width):
    """Images (images, pixels, channels) at places inside them, (images, 2, pixels)."""
    n_images, n_pixels, n_channels = images.shape
    flat = images.reshape(-1, n_channels)
    below = np.floor(where)  # (images, 2, pixels)
    share = (where - below)[..., None]  # of the next pixel
    row, column = below.astype(np.intp).swapaxes(0, 1)
    corner = row * width + column + (np.arange(n_images) * n_pixels)[:, None]
    # at the last row or column the next pixel has no share, and may be any
    down = np.where(share[:, 0, :, 0] > 0, width, 0)
    right = share[:, 1, :, 0] > 0
    upper, lower = (
        _between(flat, left, right, share[:, 1]) for left in (corner, corner + down)
    )  # (images, pixels, channels)
    return upper + share[:, 0] * (lower - upper)


def _between(flat, first, right, share):
    left = flat[first].astype(share.dtype)
    return left + share * (flat[first + right] - left)


def _check_shape(shape):
    """Height and width of an image, and its channels if given."""
    numbers = isinstance(shape, tuple | list) and all(
        isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in shape
    )
    if not numbers or len(shape) not in (2, 3):
        raise ValueError(
            "shape must be (height, width) or (height, width, channels), whole numbers from 1 on; "
            f"got {shown(shape)}"
        )
    return tuple(int(n) for n in shape)
