"""The world around the bin's board: what hangs on its pins, and what people do to it."""
