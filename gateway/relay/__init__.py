"""The outbox, passed on to the points backend over HTTP."""
