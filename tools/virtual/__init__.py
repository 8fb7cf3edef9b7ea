"""Virtual hardware: everything below the drivers, and the world around the bin."""
