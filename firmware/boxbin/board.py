"""Which wire goes where: the one list of pins, addresses and part numbers of a bin.

Constants only and no imports, so that the drivers, the virtual hardware and the drawing of the
wiring all read the same data. The numbers avoid the ESP32's strapping pins (0, 2, 5, 12, 15) and
its flash pins (6 to 11).
"""

HX711_DOUT = 19
HX711_SCK = 18

SCANNER_UART = 1
SCANNER_TX = 17
SCANNER_RX = 16

DISPLAY_I2C = 0
DISPLAY_SDA = 21
DISPLAY_SCL = 22
DISPLAY_FREQ_HZ = 400_000
DISPLAY_ADDRESS = 0x3C

LAMP = 4
LAMP_PIXELS = 8

BUZZER = 25

FLAP_SERVO = 26
FLAP_SERVO_HZ = 50
FLAP_SHUT_US = 1000
FLAP_OPEN_US = 2000
FLAP_REED = 27  # pulled up; 0 = shut

BUTTON = 33  # pulled up; 0 = pressed

LEVEL_TRIGGER = 23
LEVEL_ECHO = 32  # 5 V sensor: through a divider; pulled down
