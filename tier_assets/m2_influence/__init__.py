"""Influence (MATES, arXiv 2406.06046): probes of the training model, the model learnt from them, its predictions."""
