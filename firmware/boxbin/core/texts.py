"""What the bin says: display, lamp and sound of a sentence stand together, so they always agree.

The sentences lie in the file `boxbin/texts.txt`, not in the heap, where they would take 9 KB; its
first lines say how a line is made up. Colour is never alone (EN 301 549).
"""

FILE = "texts.txt"
ROW_CELLS = 16

# Lamp colours as (red, green, blue) of 0 to 255, dim enough for a 5 V supply of eight pixels.
LAMPS = {
    "off": (0, 0, 0),
    "ready": (24, 24, 24),
    "your_turn": (0, 24, 64),
    "wait": (48, 28, 0),
    "thanks": (0, 64, 8),
    "no": (64, 0, 0),
}

# Sounds as (frequency in Hz, 0 = silence; duration in ms).
SOUNDS = {
    "": (),
    "turn": ((1400, 60),),
    "thanks": ((1047, 90), (1319, 90), (1568, 160)),
    "no": ((300, 250),),
    "identify": ((1047, 200), (0, 200), (1568, 200), (0, 400)) * 5,
}


def find(lines, key):
    """The sentence of that key as [four rows, lamp, sound], or None; `lines` is the open file."""
    head = key + "|"
    for line in lines:
        if line.startswith(head):
            parts = line.rstrip().split("|")
            if len(parts) == 7 and parts[5] in LAMPS and parts[6] in SOUNDS:
                return parts[1:]
    return None


def unknown(key):
    """What is said in place of a sentence that the file does not have: red, and its key."""
    return ["", "", key[:ROW_CELLS], "", "no", "no"]


def fill(rows, arguments):
    """The four rows with their values filled in: integers, or short words in ASCII."""
    filled = []
    for row in rows[:4]:
        for place, value in enumerate(arguments):
            row = row.replace("{%d}" % place, str(value))
        filled.append(row)
    return filled


def cells(row):
    """Width of a row in half cells: ASCII takes one, everything else two."""
    return sum(1 if ord(c) < 0x100 else 2 for c in row)
