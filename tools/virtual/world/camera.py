"""The scanner's eye: a picture in, the texts of the codes on it out, by a real decoder."""

from __future__ import annotations

import io
import math
import warnings

import segno
import zxingcpp
from PIL import Image, UnidentifiedImageError

MAX_IMAGE_BYTES = 8 * 1024 * 1024
MAX_PIXELS = 40_000_000
WORK_EDGE = 1600  # longer pictures are made smaller first: a scanner has 648 x 488
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")


class PictureError(Exception):
    """The bytes are no picture that can be held to a scanner; says why in one sentence."""


def decode(data: bytes) -> list[bytes]:
    """The content of every code on the picture, as bytes; empty when there is none.

    Raises PictureError for too many bytes, too many pixels, or bytes that are no picture.
    """
    codes = zxingcpp.read_barcodes(_open(data))
    return [bytes(code.bytes) for code in codes if code.valid]


def qr_png(text: str, scale: int = 6) -> bytes:
    """A QR code of `text` as a PNG."""
    out = io.BytesIO()
    segno.make(text, micro=False, error="m").save(out, kind="png", scale=scale, border=4)
    return out.getvalue()


def _open(data: bytes) -> Image.Image:
    if not data:
        raise PictureError("the picture is empty")
    if len(data) > MAX_IMAGE_BYTES:
        raise PictureError(
            f"the picture has {len(data)} bytes, the scanner takes up to {MAX_IMAGE_BYTES}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata of a screenshot is no reason to refuse
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise PictureError(
                    f"the picture has {_millions(pixels)} million pixels "
                    f"({image.width} x {image.height}), "
                    f"the scanner takes up to {_millions(MAX_PIXELS)} million"
                )
            image.thumbnail((WORK_EDGE, WORK_EDGE))
            return _flat(image)
    except UnidentifiedImageError as error:
        raise PictureError(
            f"these {len(data)} bytes are not a picture ({', '.join(FORMATS)})"
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"the picture is damaged: {error}") from error


def _millions(pixels: int) -> str:
    """In tenths, rounded up, so that what is just above a limit does not read as the limit."""
    return f"{math.ceil(pixels / 100_000) / 10:g}"


def _flat(image: Image.Image) -> Image.Image:
    """Grey, with see-through parts on white as a phone or a page shows them."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("L")
