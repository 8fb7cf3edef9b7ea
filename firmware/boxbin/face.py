"""What people see and hear: display, lamp and buzzer, which always say the same sentence."""

from boxbin import board
from boxbin.core import texts
from boxbin.drivers.buzzer import Buzzer
from boxbin.drivers.display import Display, Font
from boxbin.drivers.lamp import Lamp


class Face:
    """`folder` is where font and sentences lie, with a slash at the end."""

    def __init__(self, folder):
        self._texts = open(folder + texts.FILE)
        self.display = Display(
            board.DISPLAY_I2C,
            board.DISPLAY_SCL,
            board.DISPLAY_SDA,
            board.DISPLAY_FREQ_HZ,
            board.DISPLAY_ADDRESS,
            Font(folder + "font.bin"),
        )
        self._lamp = Lamp(board.LAMP, board.LAMP_PIXELS)
        self._buzzer = Buzzer(board.BUZZER)

    def say(self, key, arguments=()):
        """Show a sentence of texts.txt, with its lamp and its sound."""
        self._texts.seek(0)
        sentence = texts.find(self._texts, key) or texts.unknown(key)
        self.display.show(texts.fill(sentence, arguments))
        self._lamp.show(texts.LAMPS[sentence[4]])
        self._buzzer.play(texts.SOUNDS[sentence[5]])
