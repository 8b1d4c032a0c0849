"""Fisher matrices put together from their blocks, sparse where they are large, or estimated."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Parameter entries up to which a Fisher matrix is dense.
MOST_DENSE = 4096


def assembled(blocks: Any, index: np.ndarray, size: int) -> Any:
    """The matrix (P, P) of blocks (C, C) per coordinate, whose entries ``index`` (C, d) names."""
    d = index.shape[1]
    values = np.array([[np.broadcast_to(entry, d) for entry in row] for row in blocks])
    values = values.reshape(len(index), len(index), d)  # also of no parameter
    rows = np.broadcast_to(index[:, None, :], values.shape)
    columns = np.broadcast_to(index[None, :, :], values.shape)
    if size > MOST_DENSE:
        from scipy.sparse import coo_array

        flat = (values.ravel(), (rows.ravel(), columns.ravel()))
        return coo_array(flat, shape=(size, size)).tocsr()
    out = np.zeros((size, size))
    np.add.at(out, (rows.ravel(), columns.ravel()), values.ravel())
    return out


def block_diagonal(blocks: list[Any], size: int) -> Any:
    """The matrix (P, P) with these blocks on its diagonal, sparse if it is large."""
    from scipy import linalg, sparse
    from scipy.sparse.linalg import LinearOperator, aslinearoperator

    if any(isinstance(block, LinearOperator) for block in blocks):
        parts = [aslinearoperator(block) for block in blocks]
        ends = np.cumsum([part.shape[0] for part in parts])[:-1]

        def multiply(v: np.ndarray) -> np.ndarray:
            own = zip(parts, np.split(v, ends), strict=True)
            return np.concatenate([part @ piece for part, piece in own])

        return LinearOperator((size, size), matvec=multiply, rmatvec=multiply, dtype=np.float64)
    if size > MOST_DENSE:
        return sparse.csr_array(sparse.block_diag(blocks))
    return linalg.block_diag(*blocks)


def estimated(p: Any, n: int, rng: Any) -> np.ndarray:
    """The mean of ``s sᵀ`` over n samples of p."""
    s = p.scores_of(p.drawn(n, rng))
    return np.asarray(s.T @ s / n)
