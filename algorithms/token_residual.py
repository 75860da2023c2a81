"""What a training model still lacks of a reference, token by token, in a form that n-gram selection can use.

A token of the reference whose loss is high is worth selecting for only where other text could teach it. The reference's
own bigrams say which tokens can be told from the one before:

    e_t = max(0, loss_t - b_t),    b_t = -log((n(x_{t-1}, x_t) - 1 + k p(x_t)) / (n(x_{t-1}) - 1 + k))

    loss_t  of token t by the model, nats
    n       counts in the reference, from which the token itself is taken out
    p       shares of the tokens in the reference, k = PRIOR counts towards them

Counted with these weights (`target`), the reference is a target for `cynical_selection` in place of its plain counts:
what the model knows already, and what nothing in the reference foretells, weighs nothing.

The use of two losses is that of reducible loss (Mindermann et al. 2022, arXiv 2206.07137). Where we differ: a bigram
model of the reference takes the place of a trained one, and the excess weighs n-grams, not training documents. In:
chunks of token ids and losses. Out: weights, or counts. Cost: beside the model's losses, milliseconds.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from algorithms.importance_resampling import totals
from algorithms.ngram_counts import count_tokens
from algorithms.packing import Tokens

PRIOR: Final = 5.0
Values = npt.NDArray[np.float64]


def excess(chunks_NC: Tokens, losses_NT: Values) -> Values:
    """e_t of every token but the first of each chunk [N, C - 1].

    Raises:
        ValueError: no chunk, or losses of another shape.
    """
    if not len(chunks_NC) or losses_NT.shape != (len(chunks_NC), chunks_NC.shape[1] - 1):
        raise ValueError(f"chunks {chunks_NC.shape} have losses {losses_NT.shape}; one fewer a chunk are needed")
    before, after = chunks_NC[:, :-1].astype(np.int64), chunks_NC[:, 1:].astype(np.int64)
    size = int(chunks_NC.max()) + 1
    pairs = before * size + after
    _, place, num = np.unique(pairs, return_inverse=True, return_counts=True)
    share = (np.bincount(after.ravel(), minlength=size) + 0.5) / (after.size + 0.5 * size)
    seen = np.bincount(before.ravel(), minlength=size)[before]
    told = (num[place].reshape(pairs.shape) - 1 + PRIOR * share[after]) / (seen - 1 + PRIOR)
    found: Values = np.maximum(0.0, losses_NT + np.log(told))
    return found


def target(chunks_NC: Tokens, losses_NT: Values) -> Values:
    """The chunks' n-grams, each weighed by the excess of its last token [BUCKETS].

    Raises:
        ValueError: as `excess`.
    """
    weights_NC = np.concatenate([np.zeros((len(chunks_NC), 1)), excess(chunks_NC, losses_NT)], axis=1)
    return totals([count_tokens(list(chunks_NC), list(weights_NC))])


__all__ = ["PRIOR", "excess", "target"]
