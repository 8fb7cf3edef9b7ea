"""Modules that are needed at start or in trouble only: they need not stay in the heap."""

import sys

import boxbin


def forget(leaf):
    """Let the module `boxbin.<leaf>` go; the next import reads it from flash again."""
    if sys.modules.pop("boxbin." + leaf, None):
        package, _, name = leaf.rpartition(".")
        delattr(getattr(boxbin, package) if package else boxbin, name)
