"""Settings: TOML and environment -> frozen values, each checked and named before anything runs."""

from itb.config.load import load_config
from itb.config.model import Config

__all__ = ["Config", "load_config"]
