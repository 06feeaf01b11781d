"""Linear least squares by QR, with the factor kept; a matrix with a band is factorized from one end to the other."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import lapack, solve_triangular


class _Panel(NamedTuple):
    """Some rows that begin within the columns from `first` on, and what the panel before left over, as one QR factor."""

    rows: Float[np.ndarray, " m"]  # numbers of the rows that are new here
    left: int  # rows that the panel before left over
    first: int
    done: int  # columns that no later panel has
    qr: Float[np.ndarray, "k w"]
    tau: Float[np.ndarray, " w"]


class Factor:
    r"""The QR factor of a matrix $J$ whose columns were scaled to length 1; never $J^T J$, which would lose half of the digits.

    Rows are taken in the order of their first entry. A panel of columns is finished as soon as no later row begins in it, so that a matrix
    whose rows have entries in a band of width $b$ costs of order $n b^2$ instead of $n^3$.

    **Arguments:**

    - `matrix`: $J$, `(rows, columns)`; it is not changed.
    - `damping`: of a column's length, keeps directions apart that rounding cannot.

    ??? cite "Reference"
        Golub, Van Loan, *Matrix Computations*, 4th ed. (2013), section 5.3;
        Björck, *Numerical Methods for Least Squares Problems* (1996), section 6.3.
    """

    def __init__(self, matrix: Float[np.ndarray, "m n"], damping: float = 1e-13) -> None:
        lengths = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
        if not np.isfinite(lengths).all():
            raise FloatingPointError("The linearized equation is not finite.")
        self._lengths, self._rows, self._size = np.where(lengths > 0.0, lengths, 1.0), len(matrix), matrix.shape[1]
        entries = matrix != 0.0
        first = np.where(entries.any(axis=1), entries.argmax(axis=1), 0)
        last = np.where(entries.any(axis=1), self._size - 1 - entries[:, ::-1].argmax(axis=1), 0)
        band = int((last - first).max(initial=0)) + 1
        step = self._size if 4 * band > self._size else band
        self._panels: list[_Panel] = []
        left = np.zeros((0, 0))
        for start in range(0, self._size, step):
            rows = np.flatnonzero((first >= start) & (first < start + step))
            end, done = min(start + step + band, self._size), min(step, self._size - start)
            panel = np.zeros((len(left) + len(rows) + done, end - start), order="F")
            panel[: len(left), : left.shape[1]] = left
            panel[len(left) : len(left) + len(rows)] = matrix[rows, start:end] / self._lengths[start:end]
            panel[np.arange(done) - done, np.arange(done)] = damping
            qr, tau, _, _ = lapack.dgeqrf(panel, lwork=64 * panel.shape[1], overwrite_a=True)
            self._panels.append(_Panel(rows, len(left), start, done, qr, tau))
            left = np.triu(qr[: len(tau)])[done:, done:]

    def solve(self, residual: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
        r"""Return the $x$ that minimizes $|J x + r|$."""
        if not np.isfinite(residual).all():
            raise FloatingPointError("The residual is not finite.")
        left, turned = np.zeros(0), np.zeros(self._size)
        for panel in self._panels:
            right = np.zeros((len(panel.qr), 1), order="F")
            right[: panel.left, 0] = left
            right[panel.left : panel.left + len(panel.rows), 0] = residual[panel.rows]
            right = lapack.dormqr("L", "T", panel.qr[:, : len(panel.tau)], panel.tau, right, 64)[0][: len(panel.tau), 0]
            turned[panel.first : panel.first + panel.done], left = right[: panel.done], right[panel.done :]
        x = np.zeros(self._size)
        for panel in reversed(self._panels):
            own, end = slice(panel.first, panel.first + panel.done), panel.first + panel.qr.shape[1]
            rest = panel.qr[: panel.done, panel.done :] @ x[own.stop : end]
            x[own] = solve_triangular(panel.qr[: panel.done, : panel.done], turned[own] - rest)
        return -x / self._lengths

    def inverse(self, last: int) -> Float[np.ndarray, "last last"]:
        r"""Return the lower right block of $(J^T J)^{-1}$, for the last columns."""
        panel = self._panels[-1]
        corner = panel.qr[: panel.done, : panel.done][-last:, -last:] if last else np.zeros((0, 0))
        half = solve_triangular(corner, np.eye(last)) / self._lengths[self._size - last :, None]
        return half @ half.T


def balance(sizes: Float[np.ndarray, "rows fields"]) -> Float[np.ndarray, " rows"]:
    r"""Return row factors $a$ for which some column factors $b$ make the largest $a_i s_{ij} b_j$ of each row and column one.

    ??? cite "Reference"
        Ruiz, *A scaling algorithm to equilibrate both rows and columns norms in matrices*, RAL-TR-2001-034 (2001).
    """
    rows, columns = np.ones(len(sizes)), np.ones(sizes.shape[1])
    for _ in range(20):
        scaled = rows[:, None] * sizes * columns
        for factor, axis in ((rows, 1), (columns, 0)):
            largest = scaled.max(axis=axis)
            factor /= np.sqrt(np.where(largest > 0.0, largest, 1.0))
    return rows
