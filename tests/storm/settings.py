"""The product's own settings, and the one factor that makes its waiting times short enough for a test."""

from __future__ import annotations

import os

from callcenter.settings import *  # noqa: F403

LOOK_FACTOR = float(os.environ["LOOK_FACTOR"])
