"""What a technician does to a bin: build, flash, provision, calibrate, label."""
