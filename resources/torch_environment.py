"""What vLLM and OpenMP read once: to be set before torch is imported for the first time in a process."""

from __future__ import annotations

import os


def set_environment() -> None:
    """Set it; what the user has set stays, but for vLLM's engine, which must run in this process."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    # Its warnings (16 on a CPU start) are about its own defaults; VLLM_LOGGING_LEVEL=WARNING shows them.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    # Threads that wait by spinning take the core from the one they wait for where others work too: on two cores
    # with 16 runnable processes generation fell from 79-223 to 4-6 tokens/s, at 16 times the CPU seconds.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
