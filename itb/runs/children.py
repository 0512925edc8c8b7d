"""What processes that a command starts get to know."""

from __future__ import annotations

import os


def keyless_environment() -> dict[str, str]:
    """Give the environment without what is ours: a child's config is in its job, and keys are none of its business."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ITB_")}
