"""The language model as a Dagster resource: the steps that ask it belong to the pool `gpu`."""

from __future__ import annotations

import os
import sys

import dagster as dg

from resources.lake import Lake
from resources.language_models import BUNDLED, MAX_MODEL_LEN, open_model
from resources.language_models.protocol import LanguageModel
from resources.language_models.replay import Replayed


class GpuLanguageModel(dg.ConfigurableResource):
    """Which model to ask: `setting` as in `open_model`, empty for LAKE_LLM or the bundled model.

    `checker` names another that answers the checks of what this one wrote; empty for LAKE_LLM_CHECK, or for none: then
    the model checks itself, by another prompt.
    """

    setting: str = ""
    checker: str = ""
    max_model_len: int = MAX_MODEL_LEN

    @property
    def identity(self) -> str:
        """The setting that holds, from here or from LAKE_LLM: enters the code version of the steps that ask."""
        return self.setting or os.environ.get("LAKE_LLM") or BUNDLED

    @property
    def checker_identity(self) -> str:
        """The checking model's setting that holds; empty for none."""
        return self.checker or os.environ.get("LAKE_LLM_CHECK") or ""

    def open(self) -> LanguageModel:
        """The model; steps of one process share its engine."""
        return open_model(self.setting, self.max_model_len)

    def replayed_checker(self, lake: Lake, prompt_version: str) -> Replayed | None:
        """The checking model behind the replay cache, where there is one."""
        if not self.checker_identity:
            return None
        return Replayed(open_model(self.checker_identity, self.max_model_len), lake, prompt_version)

    def replayed(self, lake: Lake, prompt_version: str) -> Replayed:
        """The model behind the lake's replay cache; `usage` counts what was really asked since now."""
        return Replayed(self.open(), lake, prompt_version)

    def gpu_seconds(self, seconds: float) -> float:
        """Of `seconds` that a step held the model, those that an accelerator of this machine was held."""
        torch = sys.modules.get("torch")  # vLLM in this process has imported it
        return seconds if torch is not None and torch.cuda.is_available() else 0.0
