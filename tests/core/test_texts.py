from boxbin.core import texts


def test_every_sentence_fits_the_display():
    for key in texts.SENTENCES:
        numbers = {"thanks": (3000,), "thanks_end": (3000,), "credited": (100, 99999)}.get(key, ())
        for row in texts.rows(key, numbers):
            assert texts.cells(row) <= texts.ROW_CELLS, row
            assert "{" not in row, row


def test_light_sound_and_text_are_there_together():
    for key, sentence in texts.SENTENCES.items():
        assert len(sentence) == 6
        assert texts.lamp(key) in texts.LAMPS
        assert texts.sound(key) in texts.SOUNDS
        assert sentence[0] and sentence[2], "both languages say something"


def test_a_no_is_red_and_sounds_so():
    for key, sentence in texts.SENTENCES.items():
        assert (sentence[4] == "no") == (sentence[5] == "no"), key
