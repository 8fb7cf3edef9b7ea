"""The rules of a visit, as one table: in a state, on an event, what is done, and what follows.

This is the whole of it; visit.py carries it out, and firmware/VISIT.md draws it (made from here by
`python -m tools.technician.rules`). An event that has no row in a state changes nothing there.
"""

# -- states: what the bin waits for. One bit each, so that a row of the table names several ------
STARTING = 1  # scanner and scale to be found
IDLE = 2  # a pass
LABEL = 4  # a label
STEADY = 8  # the scale at rest, before the flap opens
OPENING = 16  # the flap to leave shut
DROP = 32  # mass
SETTLE = 64  # rest
WRITE = 128  # the line to be in flash
TAKE_OUT = 256  # the heavy thing to leave again
REUSE = 512  # a carton to be taken out
COLLECT = 1024  # the operator to empty the bin
CLOSED = 2048  # every fault to end
SERVICE = 4096  # the operator, who had the flap opened from afar
STAY = 8192  # no state: after a row's deed, the state stays as it was
NAMES = "starting idle label steady opening drop settle write take_out reuse collect closed service"

NOBODY = IDLE | CLOSED | SERVICE
ARMED = STEADY | OPENING | DROP  # a label is known (or none is required): the next carton counts
VISITING = LABEL | STEADY | OPENING | DROP | SETTLE | TAKE_OUT | REUSE
AT_ONCE = OPENING | DROP | SETTLE | TAKE_OUT  # here a carton counts as soon as it rests

# -- events, one bit each as well --------------------------------------------------------------
PASS = 1  # a pass
SCANNED = 2  # label scanned
KEY = 4  # technician's key
BUTTON = 8  # button
OPENED = 16  # flap open
RISES = 32  # mass rises
RESTS = 64  # at rest
NOTHING = 128  # rests as before
LIGHT = 256  # rests, too light
CARTON = 512  # rests, a carton
HEAVY = 1024  # rests, too heavy
LESS = 2048  # rests, mass has left
BACK = 4096  # rests, a line undone
AGAIN = 8192  # rests, part has left or come
LATE = 1048576  # rests after all
SWITCH = 2097152  # no carton has landed
EMPTIED = 16384  # rests empty
WRITTEN = 32768  # line in flash
TIME_UP = 65536  # time is up
FAULT = 131072  # fault
MENDED = 262144  # last fault ended
STARTED = 524288  # parts found
ORDERED = 4194304  # order to open

# -- (in these states, on this event, do this, then go there) ------------------------------------
# "Go there" names several states when it depends. The comments are the words of firmware/VISIT.md;
# they cost a bin nothing. One row after another, four items each: a tuple a row would be 2 KB more.
ROW = 4
# fmt: off
RULES = (
    # Invite.
    STARTING, STARTED, "", IDLE,
    # A visit begins, another's ends. No label required: open. Button just before: to take one out.
    IDLE | LABEL | REUSE, PASS, "begin", LABEL | STEADY | REUSE,
    # The next person's turn comes after this carton, or with a label.
    STEADY | OPENING | DROP | SETTLE | WRITE | TAKE_OUT, PASS, "queue_pass", STAY | STEADY,
    # Whoever comes next ends a collection, once the flap is shut.
    COLLECT, PASS, "next_after_collection", STAY | LABEL | STEADY | REUSE | CLOSED,
    # Say that a pass comes first; if it comes soon, the label holds.
    IDLE, SCANNED, "pass_first", STAY,
    # A label that was not used here lately.
    LABEL | REUSE, SCANNED, "take_label", STEADY,
    # The last label before the drop counts; after a queued pass it is that person's.
    ARMED, SCANNED, "change_label", STAY | STEADY,
    # A label scanned at the open flap counts once no carton has landed for a moment.
    DROP, SWITCH, "switch", STAY | STEADY,
    # For the next carton.
    SETTLE | WRITE | TAKE_OUT, SCANNED, "queue_label", STAY,
    # To take a carton out: say that a pass comes first.
    IDLE, BUTTON, "want_reuse", STAY,
    # Who has given something is done; who has not may take a carton out to ship in it: open.
    LABEL, BUTTON, "offer_reuse", REUSE | IDLE,
    # The person is done; where no label is required, it is the way to REUSE.
    ARMED | REUSE, BUTTON, "leave", IDLE | REUSE,
    # Open the flap; it may be open still.
    STEADY, RESTS, "open", OPENING | DROP,
    # Ask for the carton.
    STEADY | OPENING, OPENED, "await_drop", DROP,
    # Something is in: weigh.
    DROP, RISES, "note_rise", SETTLE,
    # A touch that left nothing.
    SETTLE, NOTHING, "", DROP,
    # Line `deposit`.
    OPENING | DROP | SETTLE | TAKE_OUT, CARTON, "deposit", WRITE,
    # The carton that never came to rest is at rest: line `deposit`.
    LABEL, LATE, "deposit_late", WRITE,
    # Line `refused`; the flap stays open to take it out.
    OPENING | DROP | SETTLE, HEAVY, "refuse_heavy", TAKE_OUT,
    # Say so; line `refused` if it fell. The carton itself may still come.
    DROP | SETTLE, LIGHT, "refuse_light", DROP,
    # Line `refused`, for now.
    SETTLE, TIME_UP, "refuse_unstable", LABEL | STEADY,
    # Thanks, and shut. IDLE after the last carton of a visit.
    WRITE, WRITTEN, "thank", LABEL | STEADY | IDLE,
    # It is out again.
    TAKE_OUT, NOTHING | LIGHT, "stone_out", LABEL | STEADY,
    # Line `refused`: no label was scanned for it.
    LABEL | REUSE, CARTON | HEAVY, "refuse_unlabelled", STAY,
    # Line `reuse`, unless it was more than a carton.
    REUSE, LESS, "reuse", WRITE | REUSE,
    # A hand had been weighed too, or had held a part: lines `withdrawn` and `deposit`.
    IDLE | LABEL | ARMED, AGAIN, "weigh_again", WRITE,
    # Line `withdrawn` for each line undone. While the flap is open the label waits for its carton.
    LABEL, BACK, "take_back", STAY | STEADY,
    # Line `withdrawn` for each line undone.
    ARMED | SETTLE | TAKE_OUT | REUSE | NOBODY, BACK, "take_back", STAY,
    # Line `refused`; it must come back before a carton counts.
    LABEL | STEADY | OPENING | DROP | SETTLE, LESS, "owe", STAY,
    # More than the stone was taken.
    TAKE_OUT, LESS, "owe", LABEL | STEADY,
    # Line `unattended`.
    NOBODY, LESS | CARTON | HEAVY, "unattended", STAY,
    # Rain, dust, a leaf.
    NOBODY | LABEL | REUSE, LIGHT, "absorb", STAY,
    # The person has left.
    LABEL, TIME_UP, "leave", IDLE,
    # The bin is shaking: no fair weighing now.
    STEADY, TIME_UP, "not_steady", LABEL,
    # Shut the flap; what falls in while it shuts still counts.
    DROP, TIME_UP, "last_look", DROP | LABEL | IDLE,
    # It stays, and counts for nobody.
    TAKE_OUT, TIME_UP, "leave_stone", IDLE,
    # Nothing was taken.
    REUSE, TIME_UP, "nothing_out", IDLE,
    # The operator empties the bin; scale faults and falls are expected.
    NOBODY | LABEL | REUSE | ARMED | TAKE_OUT, KEY, "collect", COLLECT | STAY,
    # Line `collection`, as soon as the scale rests.
    COLLECT, KEY | BUTTON | EMPTIED | TIME_UP, "collected", IDLE | STAY | CLOSED,
    # Open for a while, whatever the faults; what comes and goes is `unattended`.
    NOBODY, ORDERED, "serve", SERVICE,
    # Shut again.
    SERVICE, BUTTON | TIME_UP, "served", IDLE | CLOSED,
    # The line cannot be told to be in flash: no thanks.
    WRITE, TIME_UP, "unwritten", CLOSED,
    # A flap fault: try to shut it again.
    CLOSED, TIME_UP, "try_flap", STAY,
    # Line `fault`; shut, and say why. No thanks without evidence.
    STARTING | IDLE | WRITE | CLOSED | VISITING, FAULT, "close", CLOSED,
    # Invite again.
    CLOSED, MENDED, "", IDLE,
)
# fmt: on

# Which setting bounds the wait of a state.
TIMES = {
    LABEL: "label_ms",
    STEADY: "steady_ms",
    SETTLE: "settle_ms",
    WRITE: "write_ms",
    TAKE_OUT: "drop_ms",
    REUSE: "drop_ms",
    COLLECT: "collect_ms",
    SERVICE: "open_ms",
}

# What is said on entering a state, unless what was done has said something else.
PROMPTS = {
    IDLE: "idle",
    LABEL: "label",
    STEADY: "opening",
    DROP: "drop",
    SETTLE: "weighing",
    TAKE_OUT: "too_heavy",
    REUSE: "reuse",
    COLLECT: "collect",
    SERVICE: "service",
}


def find(state, event):
    """(what is done, the states that may follow) for an event in a state; None: nothing is."""
    for at in range(0, len(RULES), ROW):
        if RULES[at + 1] & event and RULES[at] & state:
            return RULES[at + 2], RULES[at + 3]
    return None


def name(state):
    """A state's name, for people."""
    for word in NAMES.split():
        state >>= 1
        if not state:
            return word
    return "?"
