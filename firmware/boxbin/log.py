"""The serial console's log: one line an event, never a secret, never a pass or a label."""


def log(source, *words):
    """Print `source: words` on the console."""
    print(source + ":", *words)
