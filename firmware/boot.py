"""Runs first, before anything can fail; main.py chooses the application and starts it."""
