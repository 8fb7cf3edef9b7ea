"""Bins: their ids, keys and signs of life."""
