"""Checkpoints: a Hugging Face folder of a causal language model, its optimizer's state and its step beside it.

    config.json, model.safetensors   what transformers' `from_pretrained` opens
    optimizer.pt                     AdamW's state, as torch.save writes `optimizer.state_dict()`
    trainer.json                     step, optimizer settings, hash of weights and optimizer state

In: a folder. Out: its network (weights in fp32), optimizer state and step. A folder of the Hugging Face Trainer is read
too: its `trainer_state.json` has the step, and its optimizer.pt the weights in two groups, with and without decay. A
folder without an optimizer's state, such as a published model, is a checkpoint without moments. Nothing is
downloaded and no code of the folder is run.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

CONFIG: Final = "config.json"
OPTIMIZER: Final = "optimizer.pt"
TRAINER: Final = "trainer.json"
HF_TRAINER: Final = "trainer_state.json"
WEIGHTS: Final = ("*.safetensors", "pytorch_model*.bin")
# What the Hugging Face Trainer leaves undecayed, beside nn.LayerNorm (transformers 5.19, get_decay_parameter_names).
UNDECAYED: Final = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """AdamW; gradients are cut to the norm `clip`."""

    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a folder holds: `groups` are the names of the weights in the optimizer's order, `optimizer` its state where
    there is one, `settings` and `fingerprint` what `trainer.json` says where there is one."""

    network: PreTrainedModel
    groups: list[list[str]]
    optimizer: dict[str, Any] | None
    step: int
    settings: OptimizerSettings | None
    fingerprint: str | None


def read(folder: Path, attention: str) -> Checkpoint:
    """The checkpoint in `folder`, on the CPU.

    Raises:
        FileNotFoundError: no folder, or no configuration or weights in it.
        ValueError: a file is torn, the weights are not those of the configuration, the model is no causal language
            model, or the optimizer's state is of other weights or no AdamW's.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no checkpoint at {folder}: there is no such folder")
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"{folder} is no checkpoint: it has no {CONFIG}, as save_pretrained writes it")
    if not any(path for pattern in WEIGHTS for path in folder.glob(pattern)):
        raise FileNotFoundError(f"{folder} has a {CONFIG} but no weights; model.safetensors is expected")
    network = _network(folder, attention)
    about = _json(folder / TRAINER)
    step = about.get("step", _json(folder / HF_TRAINER).get("global_step", 0))
    names = [name for name, _ in network.named_parameters()]
    optimizer = _optimizer(folder / OPTIMIZER)
    groups = [names] if optimizer is None else _groups(folder, network, optimizer)
    return Checkpoint(network, groups, optimizer, step, _settings(folder / TRAINER, about), about.get("fingerprint"))


def write(
    folder: Path,
    network: PreTrainedModel,
    optimizer: Mapping[str, Any],
    settings: OptimizerSettings,
    step: int,
    fingerprint: str,
) -> None:
    """Write the checkpoint whole or not at all: into a folder beside, `.<name>.<process>.partial`, then by its name.

    Where `folder` holds this very state it is left alone.

    Raises:
        FileExistsError: `folder` holds something else: what was measured on a checkpoint names its folder.
    """
    import torch

    if folder.exists():
        if _json(folder / TRAINER).get("fingerprint") == fingerprint:
            return
        raise FileExistsError(f"{folder} holds another state; a checkpoint is not overwritten: choose another folder")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        with _quiet():
            network.save_pretrained(partial)
        torch.save(optimizer, partial / OPTIMIZER)
        about = {"step": step, "optimizer": asdict(settings), "fingerprint": fingerprint}
        (partial / TRAINER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fingerprint(tensors: Iterable[tuple[str, torch.Tensor]], step: int) -> str:
    """A hash of named tensors and the step: equal where every bit is."""
    import torch

    digest = hashlib.blake2b(str(step).encode(), digest_size=16)
    for name, tensor in tensors:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _network(folder: Path, attention: str) -> PreTrainedModel:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        with torch.random.fork_rng(devices=[]), _quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation=attention,
                local_files_only=True,
                output_loading_info=True,
            )
    except (SafetensorError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"the weights or configuration in {folder} cannot be read, they may be torn: {error}"
        ) from error
    except (ValueError, RuntimeError, KeyError) as error:
        raise ValueError(f"{folder} is no causal language model that transformers can open: {error}") from error
    network: PreTrainedModel
    network, info = loaded
    if missing := sorted(info["missing_keys"]):
        raise ValueError(f"the weights in {folder} are not those of its {CONFIG}: {len(missing)} lack, as {missing[0]}")
    written = network.config.architectures or [type(network).__name__]
    if type(network).__name__ not in written:
        raise ValueError(f"{folder} holds a {written[0]}; a causal language model is needed, as LlamaForCausalLM")
    return network


def _optimizer(file: Path) -> dict[str, Any] | None:
    """AdamW's state, or None where there is no file."""
    import torch

    if not file.is_file():
        return None
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} cannot be read, it may be torn: {error}") from error
    if not (isinstance(found, dict) and {"state", "param_groups"} <= found.keys()):
        raise ValueError(f"{file} is no optimizer's state_dict(): it has no state and param_groups")
    if any(not {"step", "exp_avg", "exp_avg_sq"} <= state.keys() for state in found["state"].values()):
        raise ValueError(f"{file} is not AdamW's: it has no step, exp_avg and exp_avg_sq of each weight")
    return found


def _settings(file: Path, about: Mapping[str, Any]) -> OptimizerSettings | None:
    held = about.get("optimizer")
    try:
        return None if held is None else OptimizerSettings(tuple(held["betas"]), held["weight_decay"], held["clip"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"{file} has no betas, weight_decay and clip in its optimizer: {held}") from error


def _groups(folder: Path, network: PreTrainedModel, optimizer: Mapping[str, Any]) -> list[list[str]]:
    """The names of the weights in the order of the optimizer's groups.

    Raises:
        ValueError: the state is of other weights.
    """
    weights = dict(network.named_parameters())
    sizes = [len(group["params"]) for group in optimizer["param_groups"]]
    undecayed = _undecayed(network)
    for groups in (
        [list(weights)],
        [[n for n in weights if n not in undecayed], [n for n in weights if n in undecayed]],
    ):
        if sizes == [len(group) for group in groups]:
            break
    else:
        known = f"{len(weights)} in one, or {len(weights) - len(undecayed)} and {len(undecayed)}"
        raise ValueError(f"{folder / OPTIMIZER} has groups of {sizes} weights; the model beside it has {known}")
    indices = [index for group in optimizer["param_groups"] for index in group["params"]]
    for index, name in zip(indices, [name for group in groups for name in group], strict=True):
        held = optimizer["state"].get(index)
        if held is not None and held["exp_avg_sq"].shape != weights[name].shape:
            shape, expected = tuple(held["exp_avg_sq"].shape), tuple(weights[name].shape)
            raise ValueError(
                f"{folder / OPTIMIZER} is of another architecture: {shape} where the model's {name} has {expected}"
            )
    return groups


def _undecayed(network: PreTrainedModel) -> set[str]:
    """What the Hugging Face Trainer gives no weight decay."""
    from torch import nn

    norms = tuple(f"{name}." for name, module in network.named_modules() if isinstance(module, nn.LayerNorm))
    names = [name for name, _ in network.named_parameters()]
    return {name for name in names if UNDECAYED.search(name.lower()) or name.startswith(norms)}


def _json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; none where there is no file."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON, it may be torn: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds no JSON object")
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and its report of weights, which the errors here tell."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
