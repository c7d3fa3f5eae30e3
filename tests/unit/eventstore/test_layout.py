"""A group as columns: its arrays are made once, and anew after a change."""

from __future__ import annotations

from eventstore.append import Layout


def test_the_arrays_are_made_once_and_anew_after_a_change() -> None:
    layout = Layout()
    layout.add("ada", "key-1", [("acct_1", None, False)], [("acct_1", "opened", b"{}", False)], b"{}", None)
    first = layout.parameters()
    assert layout.parameters() is first
    layout.add("ada", "key-2", [("acct_1", 1, False)], [("acct_1", "moved", b"{}", False)], b"{}", None)
    second = layout.parameters()
    assert [len(array) for array in second] > [len(array) for array in first]
    layout.look_up_all()
    third = layout.parameters()
    assert [one for one, other in zip(second, third, strict=True) if one != other] == [second[12]], "which are new"
