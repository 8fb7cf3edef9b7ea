from boxbin.core import journal


def rows(j):
    return [j.segment(i) for i in range(j.count)]


def fill(j, lines, size=1000):
    for _ in range(lines):
        j.wrote(j.place(size), size)


def test_lines_fill_segments_in_order_without_gaps():
    j = journal.Journal("5f3a9c01")
    fill(j, 40)
    assert j.last == 40 and j.backlog == 40
    assert [row[1:3] for row in rows(j)] == [(1, 16), (17, 32), (33, 40)]


def test_a_receipt_removes_whole_segments_but_never_the_newest():
    j = journal.Journal("5f3a9c01")
    fill(j, 40)
    assert j.next_to_send() == (0, 0)
    assert j.receipt("5f3a9c01", 20) == [0]
    assert j.next_to_send() == (1, 4)
    assert j.receipt("5f3a9c01", 40) == [1]
    assert j.next_to_send() is None and j.backlog == 0
    assert [row[:2] for row in rows(j)] == [(2, 33)]


def test_a_receipt_only_grows_and_belongs_to_its_epoch():
    j = journal.Journal("5f3a9c01")
    fill(j, 10)
    j.receipt("5f3a9c01", 5)
    for epoch, n in (("5f3a9c01", 4), ("5f3a9c01", 5), ("00000000", 9), ("5f3a9c01", 11)):
        assert j.receipt(epoch, n) == []
        assert j.receipted == 5


def test_it_starts_again_from_its_segments():
    j = journal.Journal("5f3a9c01")
    j.found(3, 49, 64, 16_000)
    j.found(4, 65, 70, 6_000)
    assert (j.last, j.receipted, j.backlog) == (70, 48, 22)
    assert j.next_to_send() == (3, 0)
    assert j.place(1000) == 4
    for number, first, last in ((5, 72, 80), (4, 71, 80), (5, 71, 70)):
        try:
            j.found(number, first, last, 100)
        except journal.JournalError:
            continue
        raise AssertionError((number, first, last))


def test_it_is_bounded_and_warns_before_it_is_full():
    j = journal.Journal("5f3a9c01")
    warned = 0
    while j.place(journal.SEGMENT_BYTES) is not None:
        j.wrote(j.place(journal.SEGMENT_BYTES), journal.SEGMENT_BYTES)
        warned = warned or (j.last if j.nearly_full else 0)
    assert j.last == journal.SEGMENTS_MAX and warned == journal.WARN_SEGMENTS
    assert j.receipt("5f3a9c01", 1) == [0]
    assert j.place(100) is not None
