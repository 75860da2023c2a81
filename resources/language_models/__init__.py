"""Language models: vLLM in this process, an OpenAI-compatible endpoint, and a scripted one for tests.

`open_model` takes the one setting that names a model, by default the environment's LAKE_LLM.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from resources.language_models.protocol import ERRORS, LanguageModel, Progress, Reply, Request, Usage
from resources.language_models.replay import Replayed

BUNDLED = "bundled"
MAX_MODEL_LEN = 2_048


def open_model(setting: str | None = None, max_model_len: int = MAX_MODEL_LEN) -> LanguageModel:
    """The model that `setting` names; opening costs nothing yet, the first prompt starts the engine.

    Args:
        setting: `bundled`; the URL of an OpenAI-compatible endpoint, with the model's name after `#` or in
            LAKE_LLM_MODEL; a folder with a Hugging Face model; or the id of one. By default LAKE_LLM, else `bundled`.
        max_model_len: the most tokens of a prompt and its reply; a server decides for itself.

    Raises:
        ValueError: the setting is none of these.
        RuntimeError: the model cannot be had.
    """
    setting = setting or os.environ.get("LAKE_LLM") or BUNDLED
    if setting.startswith(("http://", "https://")):
        from resources.language_models.endpoint import EndpointModel

        url, _, model = setting.partition("#")
        if not urlsplit(url).hostname:
            raise ValueError(f"the endpoint {setting!r} names no host; one reads http://127.0.0.1:8000/v1#model")
        return EndpointModel(url, model or os.environ.get("LAKE_LLM_MODEL") or None)

    from resources.language_models.vllm_engine import VllmModel

    find_folder, name = _folder_and_name(setting)
    return VllmModel(find_folder, name, max_model_len)


def _folder_and_name(setting: str) -> tuple[Callable[[], Path], str]:
    """What finds (for the bundled model: makes) the model's folder, and the model's id with its revision."""
    if setting == BUNDLED:
        from resources.bundled_model import BUNDLED_NAME, bundled_folder, bundled_revision

        return bundled_folder, f"{BUNDLED_NAME}@{bundled_revision()}"
    folder = Path(setting)
    if (folder / "config.json").exists():
        return lambda: folder, f"{folder.resolve().name}@{_folder_hash(folder)}"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", setting) or folder.exists():
        raise ValueError(
            f"unknown model {setting!r}; known: {BUNDLED!r}, a folder with config.json, a Hugging Face id such as "
            "'Qwen/Qwen3-8B', or the http(s) URL of an OpenAI-compatible endpoint"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise RuntimeError(f"model {setting!r} needs huggingface_hub: run `make setup-gpu` ({error})") from error
    try:
        # The weights in safetensors are enough; older copies double the download.
        folder = Path(snapshot_download(setting, ignore_patterns=["original/*", "*.pth", "*.bin", "*.gguf", "*.onnx"]))
    except (OSError, ValueError) as error:
        raise RuntimeError(f"model {setting!r} cannot be downloaded: {error}") from error
    # The hub's cache names a snapshot's folder by its commit.
    return lambda: folder, f"{setting}@{folder.name[:12]}"


def _folder_hash(folder: Path) -> str:
    """Hash of the model's files, so that a model trained further is another model (1 s a GB)."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".model")):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


__all__ = ["ERRORS", "LanguageModel", "Progress", "Replayed", "Reply", "Request", "Usage", "open_model"]
