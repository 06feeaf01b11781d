"""A Gaussian process from task to solution, on values and, where they are known, on tangents; leave-one-out chooses its kernel."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

LINEAR, SMOOTH, JITTER = 100.0, 10.0, 1e-12  # prior variances of the straight and of the smooth part; rounding
LENGTHS, CURVATURES, NUGGETS = (1.0, 2.0, 4.0, 8.0), (0.1, 10.0), (1e-9, 1e-6, 1e-4, 1e-2, 1.0)


@dataclasses.dataclass(frozen=True)
class Kernel:
    r"""The covariance $100 (1 + u) + q u^2 + 10 e^{-|a - b|^2 / 2 \ell^2}$ of two tasks, $u = a \cdot b$, after scaling each by `scales`.

    - `curvature`: $q$. `length`: $\ell$; infinite leaves the last term out, and a quadratic polynomial remains. `nugget`: of the noise.
    """

    scales: Float[ndarray, " d"]
    curvature: float
    length: float
    nugget: float

    def of(self, a: Float[ndarray, "n d"], b: Float[ndarray, "m d"], *, slopes: bool, known: bool) -> Float[ndarray, "rows columns"]:
        r"""Return the covariance of values, and of derivatives behind each value, `slopes` at `a` and `known` at `b`."""
        a, b = a * self.scales, b * self.scales
        u, d = a @ b.T, a.shape[1]
        straight = LINEAR + 2.0 * self.curvature * u
        apart, bell = np.zeros((len(a), len(b), d)), np.zeros_like(u)
        if np.isfinite(self.length):
            apart = (a[:, None] - b[None]) / self.length
            bell = SMOOTH * np.exp(-0.5 * (apart**2).sum(-1))
        whole = np.empty((len(a), 1 + d * slopes, len(b), 1 + d * known))
        whole[:, 0, :, 0] = LINEAR * (1.0 + u) + self.curvature * u**2 + bell
        pull = bell[..., None] * apart / self.length
        if known:
            whole[:, 0, :, 1:] = straight[..., None] * a[:, None] + pull
        if slopes:
            whole[:, 1:, :, 0] = (straight[..., None] * b[None] - pull).transpose(0, 2, 1)
        if slopes and known:
            eye = np.eye(d)
            both = 2.0 * self.curvature * b[None, :, :, None] * a[:, None, None, :] + straight[..., None, None] * eye
            both += bell[..., None, None] * (eye - apart[..., :, None] * apart[..., None, :]) / self.length**2
            whole[:, 1:, :, 1:] = both.transpose(0, 2, 1, 3)
        return whole.reshape(whole.shape[0] * whole.shape[1], -1)


class Process:
    """The mean of a Gaussian process through recorded solutions.

    **Arguments:**

    - `inputs`: tasks, scaled to about 1. `outputs`: what to predict, one row for each. `tangents`: derivatives of the outputs with respect
      to the inputs, shape (solves, inputs, outputs), with rows of NaN where they are not known; or `None`.
    - `root`: errors are counted as the norm of `error @ root`; `None` for the plain norm. `smooth`: a polynomial only, without it.

    `error` is the mean leave-one-out error, `errors` are those of each solve.

    ??? cite "Reference"
        Rasmussen, Williams, *Gaussian Processes for Machine Learning* (2006), sections 5.4.2 and 9.4.
    """

    def __init__(
        self,
        inputs: Float[ndarray, "n d"],
        outputs: Float[ndarray, "n outputs"],
        tangents: Float[ndarray, "n d outputs"] | None = None,
        root: Float[ndarray, "outputs rank"] | None = None,
        *,
        smooth: bool = True,
    ):
        self._inputs, self._mean = inputs, outputs.mean(0)
        centred = (outputs - self._mean)[:, None]
        rows = centred if tangents is None else np.concatenate([centred, tangents], 1)
        self._slopes, self._width = tangents is not None, rows.shape[1]
        self._rows = rows.reshape(-1, rows.shape[-1])
        self._kept: Bool[ndarray, " rows"] = np.isfinite(self._rows).all(1)
        rest = self._rows[self._kept]
        seen = rest if root is None else rest @ root
        # Only the lengths of errors matter, and these are the same in the span of the rows.
        self._seen = np.linalg.qr(seen.T, mode="r").T if seen.shape[1] > len(seen) else seen
        self.kernel = self._chosen(smooth)
        self._inverse, self._weights = _Spectrum(self._gram(self.kernel)).solved(self._scaled(rest, self.kernel), self.kernel.nugget)
        wrong = self._residuals(self._inverse, self._weights)
        self.errors: Float[ndarray, " n"] = np.linalg.norm(wrong if root is None else wrong @ root, axis=1)
        self.error = float(self.errors.mean())

    def __call__(self, task: Float[ndarray, " d"]) -> Float[ndarray, " outputs"]:
        """Return the prediction for one task."""
        row = self.kernel.of(task[None], self._inputs, slopes=False, known=self._slopes)[0, self._kept]
        return self._mean + row @ self._weights

    def left_out(self) -> Float[ndarray, "n outputs"]:
        """Return for each solve what the others predict."""
        values = self._rows.reshape(len(self._inputs), self._width, -1)[:, 0]
        return self._mean + values - self._residuals(self._inverse, self._weights)

    def _chosen(self, smooth: bool) -> Kernel:
        d = self._inputs.shape[1]
        lengths = [length * d**0.5 for length in LENGTHS] if smooth else [np.inf]
        grid = [Kernel(np.ones(d), curvature, length, 0.0) for curvature, length in itertools.product(CURVATURES, lengths)]
        lowest, best = min((self._with_nugget(kernel, NUGGETS) for kernel in grid), key=lambda pair: pair[0])
        if smooth and d > 1:
            for k, factor in itertools.product(range(d), (0.5, 2.0)):
                trial = dataclasses.replace(best, scales=np.where(np.arange(d) == k, factor, 1.0) * best.scales)
                lowest, best = min((lowest, best), self._with_nugget(trial, (best.nugget,)), key=lambda pair: pair[0])
        return best

    def _with_nugget(self, kernel: Kernel, nuggets: Sequence[float]) -> tuple[float, Kernel]:
        """Return the lowest leave-one-out error over the nuggets, and the kernel with that one."""
        spectrum, rows = _Spectrum(self._gram(kernel)), self._scaled(self._seen, kernel)
        losses = [float(np.linalg.norm(self._residuals(*spectrum.solved(rows, nugget)), axis=1).mean()) for nugget in nuggets]
        best = int(np.argmin(losses))
        return losses[best], dataclasses.replace(kernel, nugget=nuggets[best])

    def _scaled(self, rows: Float[ndarray, "kept columns"], kernel: Kernel) -> Float[ndarray, "kept columns"]:
        """Return the rows with derivatives with respect to the scaled inputs."""
        factors = np.concatenate([[1.0], kernel.scales]) if self._slopes else np.ones(1)
        return rows / np.tile(factors, len(self._inputs))[self._kept, None]

    def _gram(self, kernel: Kernel) -> Float[ndarray, "kept kept"]:
        return kernel.of(self._inputs, self._inputs, slopes=self._slopes, known=self._slopes)[np.ix_(self._kept, self._kept)]

    def _residuals(self, inverse: Float[ndarray, "kept kept"], weights: Float[ndarray, "kept columns"]) -> Float[ndarray, "n columns"]:
        """Return the value of each solve less what the process without that solve predicts, in closed form."""
        if not self._slopes:
            return weights / np.diag(inverse)[:, None]
        counts = self._kept.reshape(len(self._inputs), self._width).sum(1)
        ends = np.cumsum(counts)
        blocks = [slice(end - count, end) for count, end in zip(counts, ends, strict=True)]
        return np.stack([np.linalg.solve(inverse[block, block], weights[block])[0] for block in blocks])


class _Spectrum:
    """Solves with a covariance and noise on its diagonal, for any noise; an elimination would lose half of the digits where it is small."""

    def __init__(self, gram: Float[ndarray, "kept kept"]):
        values, self._vectors = np.linalg.eigh(gram)
        self._values, self._rounding = np.maximum(values, 0.0), JITTER * values.sum() / len(values)

    def solved(
        self, rows: Float[ndarray, "kept columns"], nugget: float
    ) -> tuple[Float[ndarray, "kept kept"], Float[ndarray, "kept columns"]]:
        """Return the inverse, and its product with the rows."""
        part = self._vectors / (self._values + SMOOTH * nugget + self._rounding)
        return part @ self._vectors.T, part @ (self._vectors.T @ rows)
