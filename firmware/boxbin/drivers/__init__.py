"""One part, one file. Drivers touch only `machine` and its friends."""
