"""Faces keep their numbers: people who cross, leave, come back, hide, or are found in another order."""

import numpy as np
import pytest

from tfen.inference.tracking import FaceTracker

RATE = 5.0


def box(x: float, y: float = 100, side: float = 60) -> tuple[float, float, float, float]:
    return x - side / 2, y - side / 2, side, side


def test_numbers_count_from_zero_in_the_order_of_first_appearance() -> None:
    tracker = FaceTracker(RATE)
    assert tracker.update([box(300), box(100)]) == [0, 1]
    assert tracker.update([box(100), box(500), box(300)]) == [1, 2, 0]
    assert tracker.update([]) == []


@pytest.mark.parametrize("hidden", [0, 3])
def test_two_who_cross_go_on_their_way(hidden: int) -> None:
    """Where both are seen at one place the nearer box may be the other's: the direction decides."""
    tracker = FaceTracker(RATE)
    for step in range(30):
        left, right = box(100 + 13 * step, 100), box(491 - 13 * step, 112)
        covered = hidden > 0 and abs(step - 15) <= hidden // 2
        assert tracker.update([left] if covered else [left, right]) == ([0] if covered else [0, 1]), step


def test_who_is_gone_for_less_than_two_seconds_is_the_same_and_for_longer_another() -> None:
    tracker = FaceTracker(RATE)
    assert tracker.update([box(200)]) == [0]
    for _ in range(9):
        assert tracker.update([]) == []
    assert tracker.update([box(205)]) == [0]
    for _ in range(10):
        assert tracker.update([]) == []
    assert tracker.update([box(205)]) == [1]


def test_who_walks_on_behind_a_pillar_is_met_where_the_way_led() -> None:
    tracker = FaceTracker(RATE)
    for step in range(6):
        assert tracker.update([box(100 + 20 * step)]) == [0]
    for _ in range(4):
        tracker.update([])
    assert tracker.update([box(100 + 20 * 10)]) == [0]


def test_who_stops_behind_a_pillar_is_met_where_the_face_was_last_seen() -> None:
    tracker = FaceTracker(RATE)
    for step in range(6):
        assert tracker.update([box(100 + 30 * step)]) == [0]
    for _ in range(4):
        tracker.update([])
    assert tracker.update([box(100 + 30 * 5)]) == [0]


def test_after_a_cut_nobody_is_the_same() -> None:
    tracker = FaceTracker(RATE)
    assert tracker.update([box(100), box(300)]) == [0, 1]
    tracker.cut()
    assert tracker.update([box(100), box(300)]) == [2, 3]


def test_twelve_people_who_move_and_are_now_and_then_not_seen_keep_their_numbers() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([(120 + 160 * (k % 4), 120 + 160 * (k // 4)) for k in range(12)], float)
    phases, speeds = rng.uniform(0, 2 * np.pi, (12, 2)), rng.uniform(0.1, 0.4, (12, 2))
    tracker = FaceTracker(RATE)
    numbers: dict[int, set[int]] = {k: set() for k in range(12)}
    for step in range(200):
        places = centres + 45 * np.sin(phases + speeds * step) + rng.normal(0, 1.5, (12, 2))
        order = [int(k) for k in rng.permutation(12) if step == 0 or rng.random() > 0.15]
        for k, number in zip(order, tracker.update([box(*places[k], 70) for k in order])):
            numbers[k].add(number)
    assert sorted(next(iter(own)) for own in numbers.values()) == list(range(12))
    assert all(len(own) == 1 for own in numbers.values())
