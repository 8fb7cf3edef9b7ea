"""Ways to cheat the bin, and the operator's key: hands for what is no honest visit."""

from __future__ import annotations

from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from tools.virtual.supervisor import VirtualBin
from tools.virtual.world.camera import qr_png
from tools.virtual.world.hands import MAX_CARTON_G


class Force(BaseModel):
    """A carton, or a hand that presses or lifts like one; a steady hand does not tremble."""

    mass_g: float = Field(gt=0, le=MAX_CARTON_G)
    steady: bool = False


def add_tricks(app: FastAPI, virtual_bin: VirtualBin) -> None:
    """Serve the hands for tricks on `virtual_bin`, and its key code as a picture."""

    @app.post("/api/two")
    async def two(carton: Force) -> dict[str, list[int]]:
        return {"n": virtual_bin.drop_together(carton.mass_g, carton.mass_g)}

    @app.post("/api/lower")
    async def lower(carton: Force) -> dict[str, int]:
        return {"n": virtual_bin.lower_on_string(carton.mass_g)}

    @app.post("/api/pull")
    async def pull() -> dict[str, float]:
        return {"g": virtual_bin.pull_string()}

    @app.post("/api/press")
    async def press(hand: Force) -> dict[str, str]:
        virtual_bin.press(hand.mass_g, steady=hand.steady)
        return {"hand": "press"}

    @app.post("/api/lift")
    async def lift(hand: Force) -> dict[str, str]:
        virtual_bin.lift(hand.mass_g, steady=hand.steady)
        return {"hand": "lift"}

    @app.post("/api/let-go")
    async def let_go() -> dict[str, str]:
        virtual_bin.let_go()
        return {"hand": ""}

    @app.get("/api/key.png")
    async def key() -> Response:
        """The technician's key code, as it hangs on a key ring."""
        return Response(qr_png(virtual_bin.identity.key_code()), media_type="image/png")
