"""`python -m gateway.points`: the command line of the points backend."""

from gateway.points.cli import app

app(prog_name="python -m gateway.points")
