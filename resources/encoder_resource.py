"""The encoder as a Dagster resource: the steps that use it belong to the pool `gpu`."""

from __future__ import annotations

import dagster as dg

from resources.encoder import OFF, Encoder, open_encoder, setting_of


class GpuEncoder(dg.ConfigurableResource):
    """Which encoder to use: `setting` as in `open_encoder`, empty for LAKE_ENCODER or the bundled model."""

    setting: str = ""

    @property
    def identity(self) -> str:
        """The setting that holds, from here or from LAKE_ENCODER: enters the code version of the steps that use it."""
        return setting_of(self.setting)

    @property
    def enabled(self) -> bool:
        """False for `off`: what needs an encoder is left out."""
        return self.identity != OFF

    def open(self) -> Encoder:
        """The encoder; steps of one process share its model."""
        return open_encoder(self.setting)
