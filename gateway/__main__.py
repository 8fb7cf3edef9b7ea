"""`python -m gateway serve`: the gateway without the rest of the command line."""

from gateway.cli import app

if __name__ == "__main__":
    app(prog_name="python -m gateway")
