"""Side by side with peers, in one run: CPU seconds, interleaved, medians. Never a timed test."""
