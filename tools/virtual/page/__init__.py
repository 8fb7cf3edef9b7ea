"""The virtual bin's page: shows and drives one VirtualBin on this machine."""
