"""One file a method or paper: pure functions, no input or output, no knowledge of tiers."""
