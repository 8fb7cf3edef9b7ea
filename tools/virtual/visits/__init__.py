"""Visits as people make them, by seed and with physics, and a report of how the bin fares."""
