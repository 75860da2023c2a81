"""The models that a lake is made with: what enters code versions, and what runs and sensors hand to assets."""

from __future__ import annotations

from dataclasses import dataclass, field

from resources.encoder_resource import GpuEncoder
from resources.language_models.resource import GpuLanguageModel


@dataclass(frozen=True)
class Engines:
    """The language model and the sentence encoder, by default the environment's."""

    llm: GpuLanguageModel = field(default_factory=GpuLanguageModel)
    encoder: GpuEncoder = field(default_factory=GpuEncoder)
