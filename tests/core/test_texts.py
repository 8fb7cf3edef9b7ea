from boxbin.core import texts


def sentences():
    folder = texts.__file__.rsplit("/", 2)[0]
    with open(folder + "/" + texts.FILE) as f:
        lines = [line for line in f.read().split("\n") if line and line[0] != "#"]
    return {line[: line.find("|")]: texts.find(lines, line[: line.find("|")]) for line in lines}


def test_every_sentence_fits_the_display():
    for key, sentence in sentences().items():
        arguments = (100, 99999) if key == "credited" else (3000,)
        if key == "identify":
            arguments = ("B-7K2QM",)
        for row in texts.fill(sentence, arguments):
            assert texts.cells(row) <= texts.ROW_CELLS, row
            assert "{" not in row, row


def test_light_sound_and_text_are_there_together():
    assert len(sentences()) > 30
    for key, sentence in sentences().items():
        assert sentence, "%s has not six parts, or a lamp or sound that does not exist" % key
        assert sentence[0] and sentence[2], "both languages say something"


def test_a_no_is_red_and_sounds_so():
    for key, sentence in sentences().items():
        assert (sentence[4] == "no") == (sentence[5] == "no"), key


def test_a_sentence_that_is_missing_or_broken_is_red_and_named():
    lines = ["# comment", "idle|a|b|c|d|ready|", "idler|||||", "x|a|b|c|d|ready", "y|a|b|c|d|pink|"]
    assert texts.find(lines, "idle")[2] == "c"
    for key in ("idl", "idler", "x", "y", "", "#"):
        assert texts.find(lines, key) is None, key
    assert texts.fill(texts.unknown("a_key_that_is_long_indeed"), ())[2] == "a_key_that_is_lo"
