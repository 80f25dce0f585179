"""The books, against the dullest possible model: sets of numbers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import Book, Dropped, Spans, read_note

NUMBER = st.integers(1, 60)
RANGE = st.tuples(NUMBER, st.integers(0, 12)).map(lambda r: (r[0], r[0] + r[1]))


@given(st.lists(RANGE, max_size=40), st.integers(1, 70))
def test_spans_are_a_set_of_numbers(ranges: list[tuple[int, int]], start: int) -> None:
    spans, model = Spans(), set[int]()
    for first, last in ranges:
        spans.add(first, last)
        model |= set(range(first, last + 1))
    assert {n for a, b in spans for n in range(a, b + 1)} == model
    assert len(spans) == len(model)
    assert [n in spans for n in range(75)] == [n in model for n in range(75)]
    end = start - 1
    while end + 1 in model:
        end += 1
    assert spans.through(start) == end


@given(st.lists(RANGE, max_size=40))
def test_spans_stay_disjoint_and_sorted_and_do_not_touch(ranges: list[tuple[int, int]]) -> None:
    spans = list(Spans(ranges))
    assert all(first <= last for first, last in spans)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(spans))


def test_a_number_alone_is_a_range_of_one() -> None:
    spans = Spans()
    spans.add(5)
    assert list(spans) == [(5, 5)]
    assert 5 in spans
    assert 4 not in spans


@given(st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.permutations(range(1, n + 1)))), st.data())
def test_done_is_the_highest_number_with_everything_up_to_it_settled(
    plan: tuple[int, list[int]], data: st.DataObject
) -> None:
    count, order = plan
    book = Book("g", "r", "d")
    assert [book.take() for _ in range(count)] == list(range(1, count + 1))
    settled: set[int] = set()
    for seq in order:
        if data.draw(st.booleans()):
            book.confirm(seq)
        else:
            book.drop(1)
            assert book.done == next((n for n in range(count + 1) if n + 1 not in settled), count)  # not by a drop
            book.settle(seq, seq)
        settled.add(seq)
        assert book.done == next(n for n in range(count + 1) if n + 1 not in settled)
        assert book.taken == book.confirmed + book.held + book.dropped
    assert (book.taken, book.held, book.done) == (count, 0, count)


def test_a_settled_range_may_reach_over_what_is_settled_already() -> None:
    book = Book("g", "r", "d")
    for _ in range(9):
        book.take()
    book.confirm(2)
    book.confirm(4)
    book.settle(5, 7)
    assert book.done == 0
    book.settle(1, 6)
    assert book.done == 7
    book.confirm(8)
    assert book.done == 8


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["size limit", "refused 0x99"]), NUMBER)))
def test_drops_are_named_by_device_range_and_reason(drops: list[tuple[str, str, int]]) -> None:
    books = {device: Book("g", "r" + device, device) for device in "ab"}
    dropped = Dropped()
    for device, reason, seq in drops:
        dropped.add(books[device], seq, reason)
    assert {b.device for b in dropped.books()} == {device for device, _, _ in drops}
    said = {
        (run, e["device"], e["reason"], seq)
        for (_, run), entries in dropped.take().items()
        for e in entries
        for seq in range(e["from"], e["through"] + 1)
    }
    assert said == {("r" + device, device, reason, seq) for device, reason, seq in drops}
    assert not dropped.books()
    assert dropped.take() == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"run":"0123456789ab","dropped":[{"device":"d","from":1,"through":3,"reason":"size limit"}]}',
        '{"run":"0123456789ab","ended":"clean","last":{"d":7}}',
        '{"run":"0123456789ab","ended":"unclean","kept":{"d":7}}',
        '{"run":"0123456789ab","settled":true}',
    ],
)
def test_every_note_of_the_contract_is_understood(text: str) -> None:
    note = read_note(text.encode())
    assert note.run == "0123456789ab"
    assert [bool(x) for x in (note.dropped, note.last, note.kept, note.settled)].count(True) == 1
    if note.dropped:
        assert (note.dropped[0].first, note.dropped[0].through) == (1, 3)
