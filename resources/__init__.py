"""The outside world: the lake (Delta), the DuckDB catalog, language models, encoders, trainers."""
