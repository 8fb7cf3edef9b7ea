"""Decisions only: no I/O, no clock, no float, no asyncio. Runs under MicroPython and CPython."""
