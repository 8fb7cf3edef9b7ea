"""The bin's firmware. `core` decides, `drivers` touch hardware, the files here wire the two."""

VERSION = "0.1.0"
