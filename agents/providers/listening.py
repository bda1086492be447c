"""How an agent listens where the provider itself stops it when the person speaks."""

from __future__ import annotations

import enum

SHARE = (0.0, 1.0)


class Denoising(enum.StrEnum):
    """What is taken away before the agent hears the line."""

    NONE = "none"
    NOISE = "noise"
    NOISE_AND_SPEECH = "noise_and_speech"
    """Also people speaking in the background."""
