"""What a refinement does in the training loop: `Refinement.make` gives a `Hook` for one training."""

from __future__ import annotations


class Hook:
    """Called by the loop where the refinement's `acts` says; each method does nothing until it is overridden."""
