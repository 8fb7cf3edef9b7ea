from boxbin.core import texts


def test_every_sentence_fits_the_display():
    for key in texts.SENTENCES:
        numbers = (100, 99999) if key == "credited" else (3000,)
        for row in texts.rows(key, numbers):
            assert texts.cells(row) <= texts.ROW_CELLS, row
            assert "{" not in row, row


def test_light_sound_and_text_are_there_together():
    for key, sentence in texts.SENTENCES.items():
        parts = sentence.split("|")
        assert len(parts) == 6
        assert texts.lamp(key) in texts.LAMPS
        assert texts.sound(key) in texts.SOUNDS
        assert parts[0] and parts[2], "both languages say something"


def test_a_no_is_red_and_sounds_so():
    for key in texts.SENTENCES:
        assert (texts.lamp(key) == "no") == (texts.sound(key) == "no"), key
