"""The process the embedded broker runs in: `python -m gateway.rumqttd <rumqttd.toml>`.

It ends by SIGTERM, and with its parent (gateway/processes.py). rumqttd has no stop of its own; it
keeps nothing on disk, so there is nothing to finish.
"""

import logging
import sys

import iotcore


def main() -> None:
    """Run until the process is ended. Raises OSError when a port is taken."""
    logging.basicConfig(level=logging.WARNING)
    # Its spans come out as one ERROR record for every packet; iotcore's own child does the same.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    iotcore.Broker(config_path=sys.argv[1]).run_forever()


if __name__ == "__main__":
    main()
