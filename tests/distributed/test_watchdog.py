"""Who counts as dead."""

from mgajax.distributed.watchdog import LEFT, Listener


def test_one_that_counts_on_is_alive_and_one_that_stops_is_not() -> None:
    listener = Listener(processes=3, now=0.0)
    listener.hear({0: 1, 1: 1, 2: 1}, now=1.0)
    listener.hear({0: 2, 1: 1, 2: 2}, now=9.0)
    assert listener.silent(now=10.0, notice_s=5.0) == [1]
    assert listener.silent(now=15.0, notice_s=5.0) == [0, 1, 2]


def test_one_that_never_spoke_is_dead_after_the_same_time() -> None:
    listener = Listener(processes=2, now=0.0)
    listener.hear({0: 1}, now=4.0)
    assert listener.silent(now=5.0, notice_s=5.0) == []
    assert listener.silent(now=5.1, notice_s=5.0) == [1]


def test_one_that_left_is_not_missed() -> None:
    listener = Listener(processes=2, now=0.0)
    listener.hear({0: 1, 1: LEFT}, now=1.0)
    assert listener.silent(now=100.0, notice_s=5.0) == [0]
