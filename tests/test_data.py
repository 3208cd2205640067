import hashlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import write_tiny_set

from tfen.config import DataSettings, FoldSettings
from tfen.data import transforms
from tfen.data.clips import Clips, FrameStore, face_labels
from tfen.data.folds import make_folds, subject_folds, subjects_of
from tfen.data.prepared import SequenceRecord, natural, open_set
from tfen.data.sampling import middle_frames, random_frames
from tfen.data.transforms import (
    augmented,
    centre_crop,
    coarser,
    coarser_at_once,
    crop_and_flip,
    gathered_windows,
    normalised,
    stored_size,
    strong,
    to_network,
)
from tfen.errors import InputError
from tfen.faces.align import cut, place_from_landmarks
from tfen.video.photographs import read_image


def test_middle_frames_of_seven_segments() -> None:
    assert middle_frames(21, 7).tolist() == [1, 4, 7, 10, 13, 16, 19]
    assert middle_frames(7, 7).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert middle_frames(70, 7).tolist() == [5, 15, 25, 35, 45, 55, 65]


@pytest.mark.parametrize(
    ("count", "frames"),
    [
        (1, [0, 0, 0, 0, 0, 0, 0]),
        (2, [0, 0, 0, 1, 1, 1, 1]),
        (3, [0, 0, 1, 1, 1, 2, 2]),
        (4, [0, 0, 1, 2, 2, 3, 3]),
        (5, [0, 1, 1, 2, 3, 3, 4]),
        (6, [0, 1, 2, 3, 3, 4, 5]),
    ],
)
def test_short_sequences_repeat_their_frames_evenly(count: int, frames: list[int]) -> None:
    assert middle_frames(count, 7).tolist() == frames


@pytest.mark.parametrize("count", [1, 3, 6, 7, 8, 13, 21, 100])
def test_random_frames_take_one_of_each_segment(count: int) -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([random_frames(count, 7, rng) for _ in range(400)])
    for k in range(7):
        low, high = k * count / 7, (k + 1) * count / 7
        allowed = set(range(int(np.floor(low)), int(np.ceil(high))))
        assert set(drawn[:, k].tolist()) == allowed
    assert (np.diff(drawn, axis=1) >= 0).all()


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(k) for k in range(count)]


def test_one_crop_and_one_flip_for_all_frames_of_a_clip() -> None:
    ramp = torch.arange(12, dtype=torch.uint8)
    frame = (ramp[:, None] * 12 + ramp[None])[..., None].expand(12, 12, 3)
    clips = torch.stack([torch.stack([frame] * 4)] * 40)
    out = crop_and_flip(clips, 8, rngs(40))
    assert out.shape == (40, 4, 8, 8, 3)
    assert all(torch.equal(clip[0], clip[k]) for clip in out for k in range(4))
    corners = {(int(clip[0, 0].min(0).values[0]), bool(clip[0, 0, 0, 0] > clip[0, 0, -1, 0])) for clip in out}
    assert len(corners) > 15
    assert {flipped for _, flipped in corners} == {True, False}


def test_crops_reach_every_edge_and_one_in_two_is_mirrored() -> None:
    """Each pixel tells its row and column; with 12 - 8 pixels of room there are five places each way."""
    row, column = torch.meshgrid(
        torch.arange(12, dtype=torch.uint8), torch.arange(12, dtype=torch.uint8), indexing="ij"
    )
    clips = torch.stack([row, column, row], -1).expand(2000, 1, 12, 12, 3)
    out = crop_and_flip(clips, 8, rngs(2000))[:, 0]
    mirrored = out[:, 0, 0, 1] > out[:, 0, 7, 1]
    tops, lefts = out[:, 0, 0, 0], torch.minimum(out[:, 0, 0, 1], out[:, 0, 7, 1])
    for places in (tops, lefts):
        assert sorted(set(places.tolist())) == [0, 1, 2, 3, 4]
        assert torch.bincount(places.long()).numpy() / 2000 == pytest.approx([0.2] * 5, abs=0.04)
    assert np.corrcoef(tops, lefts)[0, 1] == pytest.approx(0, abs=0.08)
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.04)


def test_training_draws_frames_of_every_segment_and_testing_takes_their_middles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_set(write_tiny_set(tmp_path / "set", subjects=2, frames=9))
    clips = Clips(FrameStore(found, 32, DataSettings()), list(found.sequences), 3, 32)
    asked: list[list[int]] = []
    original = FrameStore.frames

    def watched(self: FrameStore, sequence: SequenceRecord, numbers: np.ndarray) -> np.ndarray:
        asked.append(numbers.tolist())
        return original(self, sequence, numbers)

    monkeypatch.setattr(FrameStore, "frames", watched)
    for epoch in range(1, 9):
        list(clips.training(epoch, 6, seed=0))
    assert len(asked) == 48
    assert [set(drawn) for drawn in zip(*asked, strict=True)] == [{0, 1, 2}, {3, 4, 5}, {6, 7, 8}]
    asked.clear()
    list(clips.testing(6))
    assert asked == 6 * [[1, 4, 7]]


def test_testing_shows_the_middle_of_each_frame_as_it_is(tiny_set: Path) -> None:
    found, rng = open_set(tiny_set), np.random.default_rng(3)
    for path in (tiny_set / "frames").rglob("*.png"):
        cv2.imwrite(str(path), rng.integers(0, 256, (35, 35, 3), np.uint8))  # 35 for crops of 32, as 244 for 224
    clips = Clips(FrameStore(found, 32, DataSettings()), list(found.sequences), 4, 32)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for batch in clips.testing(5):
        for clip, sequence in zip(batch.clips, batch.sequences, strict=True):
            for frame, path in zip(clip, found.frame_files(sequence), strict=True):
                pixels = cv2.imread(str(path))[1:33, 1:33, ::-1] / 255
                wanted = ((pixels - mean) / deviation).transpose(2, 0, 1)
                np.testing.assert_allclose(frame, wanted, atol=1e-5)


def test_testing_takes_the_centre() -> None:
    clips = torch.arange(10, dtype=torch.uint8).view(1, 1, 1, 10, 1).expand(1, 1, 10, 10, 3)
    assert centre_crop(clips, 6)[0, 0, 0, :, 0].tolist() == [2, 3, 4, 5, 6, 7]
    assert stored_size(224) == 244


def test_clip_normalisation_has_zero_mean_and_unit_deviation_and_strong_keeps_its_shape() -> None:
    clips = torch.rand(2, 3, 3, 16, 16) * 0.5 + 0.2
    out = normalised(clips, "clip")
    np.testing.assert_allclose(out.mean((1, 2, 3, 4)), 0, atol=1e-5)
    x = clips[0].numpy()
    np.testing.assert_allclose(out[0], (x - x.mean()) / (x.std(ddof=1) + 0.02), atol=1e-5)
    bytes_ = (torch.rand(3, 2, 20, 20, 3) * 255).byte()
    first = strong(bytes_, 16, rngs(3), "clip")
    assert first.shape == (3, 2, 3, 16, 16)
    assert torch.isfinite(first).all()
    assert torch.equal(first, strong(bytes_, 16, rngs(3), "clip"))


def test_what_augmentation_does_to_a_clip_does_not_depend_on_its_batch() -> None:
    bytes_ = (torch.rand(6, 2, 20, 20, 3) * 255).byte()
    for augment, how in (("paper", "imagenet"), ("mild", "clip"), ("strong", "frame"), ("strong", "local")):
        together = augmented(bytes_, 16, rngs(6), augment, how)
        apart = [augmented(bytes_[k : k + 2], 16, rngs(6)[k : k + 2], augment, how) for k in (0, 2, 4)]
        assert torch.allclose(together, torch.cat(apart), atol=1e-6)


def test_mild_augmentation_changes_pictures_less_than_strong() -> None:
    clips = (torch.linspace(0, 1, 20 * 20 * 3).reshape(1, 1, 20, 20, 3).expand(16, 2, 20, 20, 3) * 255).byte()
    plain = to_network(centre_crop(clips, 16), "clip")
    away = {
        augment: float((augmented(clips, 16, rngs(16), augment, "clip") - plain).abs().mean())
        for augment in ("mild", "strong")
    }
    assert 0 < away["mild"] < away["strong"]


def test_ids_ascend_by_their_numbers() -> None:
    assert sorted(["S10", "S9", "S100", "S2"], key=natural) == ["S2", "S9", "S10", "S100"]
    assert sorted(["b", "a2", "a10", "10", "9"], key=natural) == ["9", "10", "a2", "a10", "b"]


def test_folds_are_neighbours_by_id_and_disjoint() -> None:
    subjects = tuple(f"S{k:03d}" for k in range(118))
    groups = subject_folds([(subject,) for subject in subjects], 10)
    assert [len(group) for group in groups] == [12] * 8 + [11] * 2
    assert sorted(subject for group in groups for subject in group) == sorted(subjects)
    assert groups[0] == set(subjects[:12])


def test_validation_subjects_come_from_the_training_subjects(tmp_path: Path) -> None:
    found = open_set(write_tiny_set(tmp_path / "set", subjects=9))
    folds = make_folds(found, FoldSettings(count=3, validation_share=0.3), seed=0)
    for fold in folds:
        train, validation, test = (set(subjects_of(part)) for part in (fold.train, fold.validation, fold.test))
        assert len(validation) == 2
        assert not test & (train | validation)
        assert not train & validation
        assert train | validation | test == set(found.subjects)


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(InputError, match="2 subjects, fewer than the 10 folds"):
        subject_folds([("a",), ("b",)], 10)


def test_batches_are_the_same_for_the_same_seed_and_others_for_another_epoch(tiny_set: Path) -> None:
    found = open_set(tiny_set)
    data = DataSettings()

    def digest(epoch: int, seed: int, cache_gb: float = 1, grey: bool = False) -> str:
        store = FrameStore(found, 32, DataSettings(cache_gb=cache_gb, grey=grey))
        clips = Clips(store, list(found.sequences), 3, 32, face_labels(list(found.sequences), data))
        total = hashlib.sha256()
        for batch in clips.training(epoch, 5, seed):
            total.update(batch.clips.numpy().tobytes() + batch.expressions.numpy().tobytes())
        return total.hexdigest()

    assert digest(1, 0) == digest(1, 0) == digest(1, 0, cache_gb=0)
    assert len({digest(1, 0), digest(2, 0), digest(1, 1)}) == 3
    assert digest(1, 0, grey=True) == digest(1, 0)  # the set has no colour


@pytest.mark.parametrize("cache_gb", [0, 1])
def test_grey_frames_are_the_same_in_all_channels_kept_or_not(tiny_set: Path, cache_gb: float) -> None:
    rng = np.random.default_rng(1)
    for path in (tiny_set / "frames").rglob("*.png"):
        cv2.imwrite(str(path), rng.integers(0, 256, (35, 35, 3), np.uint8))
    found = open_set(tiny_set)
    first, numbers = found.sequences[0], np.array([2, 0, 2])
    store = FrameStore(found, 32, DataSettings(cache_gb=cache_gb, grey=True))
    wanted = [cv2.imread(str(found.frame_files(first)[k]), cv2.IMREAD_GRAYSCALE) for k in numbers]
    wanted = [cv2.resize(image, (store.size, store.size), interpolation=cv2.INTER_AREA) for image in wanted]
    for _ in range(2):
        frames = store.frames(first, numbers)
        assert frames.shape == (3, store.size, store.size, 3)
        for channel in range(3):
            assert abs(frames[..., channel].astype(int) - np.stack(wanted)).max() <= 2


def test_faces_are_cut_out_around_known_landmarks_as_films_are(synthetic_set: Path, tiny_set: Path) -> None:
    found = open_set(synthetic_set)
    sequence = next(one for one in found.sequences if one.expression == "happiness")
    truth = found.truth(sequence, "landmarks", (68, 2))
    assert truth is not None
    for cache_gb in (0, 1):
        store = FrameStore(found, 32, DataSettings(cache_gb=cache_gb, align="eyes"))
        frames = store.frames(sequence, np.arange(sequence.frames))
        for path, points, frame in zip(found.frame_files(sequence), truth, frames, strict=True):
            wanted = cut(read_image(path), place_from_landmarks(points, "eyes"), store.size)
            assert (frame == wanted).all()
    plain = FrameStore(found, 32, DataSettings()).frames(sequence, np.arange(sequence.frames))
    assert (plain != frames).any()
    unknown = open_set(tiny_set)  # where no landmarks are known, frames stay as they are
    stores = [FrameStore(unknown, 32, DataSettings(align=align)) for align in ("none", "eyes")]
    first, second = (store.frames(unknown.sequences[0], np.arange(4)) for store in stores)
    assert (first == second).all()


def test_testing_goes_through_all_sequences_in_order(tiny_set: Path) -> None:
    found = open_set(tiny_set)
    clips = Clips(FrameStore(found, 32, DataSettings()), list(found.sequences), 3, 32)
    names = [sequence.name for batch in clips.testing(5) for sequence in batch.sequences]
    assert names == [sequence.name for sequence in found.sequences]


def test_greyscale_leaves_no_colour(tiny_set: Path) -> None:
    found = open_set(tiny_set)
    store = FrameStore(found, 32, DataSettings(grey=True))
    frame = store.frames(found.sequences[0], np.array([0]))[0]
    assert (frame[..., 0] == frame[..., 1]).all()
    assert (frame[..., 1] == frame[..., 2]).all()


def test_clips_are_played_backwards_as_often_as_asked_for(tmp_path: Path) -> None:
    found = open_set(write_tiny_set(tmp_path / "tiny", expressions=("anger", "fear"), frames=4))
    clips = Clips(FrameStore(found, 32, DataSettings(backwards=0.25)), list(found.sequences), 4, 32)
    turned = []
    for epoch in range(1, 21):
        for batch in clips.training(epoch, 4, seed=0):
            bars = (batch.clips[:, :, 0] > batch.clips[:, :, 0].flatten(2).median(2)[0][..., None, None]).sum((2, 3))
            steps = bars.diff(dim=1).sign()
            assert (steps == steps[:, :1]).all()  # the bar grows all the time, or shrinks
            turned += (steps[:, 0] < 0).tolist()
    assert len(turned) == 160
    assert sum(turned) / 160 == pytest.approx(0.25, abs=0.1)


def test_on_an_accelerator_clips_are_normalised_there(tiny_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device "meta" nothing is computed; it stands for any accelerator."""
    found, there, places = open_set(tiny_set), torch.device("meta"), []

    def watched(clips: torch.Tensor, how: str) -> torch.Tensor:
        places.append(clips.device)
        return normalised(clips, how)

    monkeypatch.setattr(transforms, "normalised", watched)
    clips = Clips(FrameStore(found, 32, DataSettings()), list(found.sequences), 3, 32, device=there)
    for batch in (next(iter(clips.training(1, 4, seed=0))), next(iter(clips.testing(4)))):
        assert batch.clips.device == there
        assert batch.clips.shape == (4, 3, 3, 32, 32)
    assert set(places) == {there}


@pytest.mark.parametrize("augment", ["paper", "strong"])
@pytest.mark.parametrize("room", [0, 2**40])
def test_nothing_of_an_accelerators_work_is_done_elsewhere(
    tiny_set: Path, monkeypatch: pytest.MonkeyPatch, augment: str, room: int
) -> None:
    """What mixes tensors of two devices fails on "meta", too; `room`: bytes of frames that it takes."""
    found, there = open_set(tiny_set), torch.device("meta")
    monkeypatch.setattr("tfen.data.clips.card_room", lambda device: room if device.type == "meta" else 0)
    store = FrameStore(found, 32, DataSettings(augment=augment))  # type: ignore[arg-type]
    clips = Clips(store, list(found.sequences), 3, 32, device=there)
    assert (store.card(there) is None) == (room == 0)
    for batch in (next(iter(clips.training(1, 4, seed=0))), next(iter(clips.testing(4)))):
        for value in (batch.clips, batch.expressions, batch.faces, batch.takes):
            assert value.device == there
        assert batch.clips.shape == (4, 3, 3, 32, 32)


@pytest.mark.parametrize("grey", [False, True])
def test_frames_that_lie_on_a_card_give_the_same_clips(
    tiny_set: Path, monkeypatch: pytest.MonkeyPatch, grey: bool
) -> None:
    found, decoded = open_set(tiny_set), []
    monkeypatch.setattr("tfen.data.clips.read_image", lambda path: decoded.append(path) or read_image(path))
    for augment in ("paper", "mild", "strong"):
        settings, batches = DataSettings(augment=augment, grey=grey, cache_gb=1e-9), []  # type: ignore[arg-type]
        for room in (0, 2**40):
            decoded.clear()
            monkeypatch.setattr("tfen.data.clips.card_room", lambda device, room=room: room)
            clips = Clips(FrameStore(found, 32, settings), list(found.sequences), 3, 32)
            batches.append([*clips.training(1, 4, seed=0), *clips.training(2, 4, seed=0), *clips.testing(5)])
        assert len(decoded) == len(set(decoded))  # each frame goes to the card once
        for plain, card in zip(*batches, strict=True):
            assert plain.sequences == card.sequences
            assert torch.equal(plain.clips, card.clips)


@pytest.mark.parametrize("augment", ["paper", "strong"])
@pytest.mark.parametrize("skip", [0, 1])
def test_batches_that_are_made_together_are_those_that_are_made_one_by_one(
    tiny_set: Path, monkeypatch: pytest.MonkeyPatch, augment: str, skip: int
) -> None:
    found = open_set(tiny_set)
    clips = Clips(FrameStore(found, 32, DataSettings(augment=augment)), list(found.sequences), 3, 32)  # type: ignore[arg-type]
    alone = list(clips.training(1, 5, seed=0, skip=skip))
    monkeypatch.setattr(Clips, "_batches_at_once", lambda self, batch_size: 2)
    together = list(clips.training(1, 5, seed=0, skip=skip))
    assert len(alone) == len(together) >= 2
    for one, other in zip(alone, together, strict=True):
        assert one.sequences == other.sequences
        for name in ("clips", "expressions", "faces", "takes"):
            assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(("size", "batch", "expected"), [(64, 24, 4), (112, 32, 2), (224, 32, 1)])
def test_small_batches_are_made_together_on_an_accelerator_alone(
    tiny_set: Path, size: int, batch: int, expected: int
) -> None:
    found = open_set(tiny_set)
    for device, times in (("cpu", 1), ("meta", expected)):
        clips = Clips(
            FrameStore(found, size, DataSettings()), list(found.sequences), 5, size, device=torch.device(device)
        )
        assert clips._batches_at_once(batch) == times


@pytest.mark.parametrize("size", [9, 16])
def test_clips_become_coarser_alike_one_by_one_or_at_once(size: int) -> None:
    clips = torch.from_numpy(np.random.default_rng(0).random((size, 2, 3, size, size), np.float32))
    pixels = list(range(size))  # 0: as it is
    at_once, one_by_one = coarser_at_once(clips, pixels), coarser(clips.clone(), pixels)
    assert torch.equal(at_once[0], clips[0])
    assert torch.allclose(at_once, one_by_one, atol=1e-5)
    assert (one_by_one[3] - clips[3]).abs().max() > 0.1
    assert at_once[1].var((2, 3)).max() < 1e-9  # a single pixel


def test_windows_are_the_same_cut_out_one_by_one_or_gathered() -> None:
    rng = np.random.default_rng(0)
    clips = torch.from_numpy(rng.integers(0, 255, (4, 2, 9, 9, 3), np.uint8))
    windows = [(0, 2, False), (2, 0, True), (1, 1, True), (2, 2, False)]
    for clip, gathered, (top, left, flipped) in zip(clips, gathered_windows(clips, 7, windows), windows):
        expected = clip[:, top : top + 7, left : left + 7]
        assert torch.equal(gathered, expected.flip(2) if flipped else expected)


def test_balanced_sampling_shows_every_expression_as_often(tmp_path: Path) -> None:
    found = open_set(write_tiny_set(tmp_path / "set", subjects=12))
    rare = [one for one in found.sequences if one.expression != "anger" or one.subject == "p1"]
    for sampling, expected in (("natural", 1 / 25), ("balanced", 1 / 3)):
        clips = Clips(FrameStore(found, 32, DataSettings(sampling=sampling)), rare, 2, 32)  # type: ignore[arg-type]
        seen = [
            one.expression for epoch in range(40) for batch in clips.training(epoch, 8, 0) for one in batch.sequences
        ]
        assert seen.count("anger") / len(seen) == pytest.approx(expected, abs=0.03)


def test_stills_show_the_last_frame_or_the_first_as_neutral(tmp_path: Path) -> None:
    folder = write_tiny_set(tmp_path / "tiny", expressions=("neutral", "anger"), frames=4)
    found = open_set(folder)
    store = FrameStore(found, 32, DataSettings(stills=0.5))
    clips = Clips(store, list(found.sequences), 3, 32)
    seen = {"moving": 0, "calm": 0, "apex": 0}
    for epoch in range(1, 17):
        for batch in clips.training(epoch, 4, seed=0):
            for clip, said, sequence in zip(batch.clips, batch.expressions, batch.sequences):
                if sequence.expression == "neutral":
                    assert said == 0
                elif not (clip == clip[:1]).all():
                    assert said == 1
                    seen["moving"] += 1
                else:
                    seen["apex" if said else "calm"] += 1
                    bar = int((clip[0, 0] > clip[0, 0].median()).sum())
                    assert bar > 90 if said else bar < 40  # it grows from 4 x 6 pixels to 22 x 6
    assert sum(seen.values()) == 64
    assert 20 < seen["moving"] < 44
    assert 2 < seen["calm"] < 16
    assert 12 < seen["apex"] < 36
    with pytest.raises(InputError, match="stills needs sequences of neutral"):
        other = FrameStore(open_set(write_tiny_set(tmp_path / "other")), 32, DataSettings(stills=0.5))
        next(Clips(other, [], 3, 32).training(1, 4, seed=0))


def test_a_reference_is_a_calm_face_of_the_person_before_what_is_shown(tmp_path: Path) -> None:
    found = open_set(write_tiny_set(tmp_path / "tiny", expressions=("neutral", "anger"), frames=4))
    for number, sequence in enumerate(found.sequences):  # grey values tell whose frame it is, and which
        for frame, file in enumerate(found.frame_files(sequence)):
            cv2.imwrite(str(file), np.full((35, 35, 3), 6 * (4 * number + frame) + 20, np.uint8))
    clips = Clips(FrameStore(found, 32, DataSettings(reference=0.5)), list(found.sequences), 3, 32)
    seen: Counter[str] = Counter()
    for epoch in range(1, 17):
        for batch in clips.training(epoch, 4, seed=0):
            for clip, said, sequence in zip(batch.clips, batch.expressions, batch.sequences):
                grey = 255 * (clip[:, 1, 0, 0] * 0.224 + 0.456)
                numbers, frames = divmod(((grey - 20) / 6).round().int().numpy(), 4)
                own = found.sequences.index(sequence)
                assert found.sequences[numbers[0]].subject == sequence.subject
                assert (numbers[1:] == own).all()
                moving = numbers[0] == own and frames[1] in (1, 2) and frames[2] in (2, 3)
                if frames[0] == 0 and frames[1:].max() == 0:
                    kind, expected = "calm", "neutral"
                elif frames[0] == 0 and frames[1:].min() >= 2:
                    kind, expected = "reference", sequence.expression
                else:
                    assert moving
                    kind, expected = "moving", sequence.expression
                seen[kind] += 1
                seen["from another sequence"] += int(numbers[0] != own)
                assert found.expressions[said] == expected
    assert seen["moving"] > 25
    assert seen["reference"] > 40
    assert 4 < seen["calm"] < 25
    assert 8 < seen["from another sequence"] < 30


def test_references_need_calm_sequences_and_clips_of_several_frames(tiny_set: Path) -> None:
    found = open_set(tiny_set)
    with pytest.raises(InputError, match="reference needs sequences of neutral"):
        next(Clips(FrameStore(found, 32, DataSettings(reference=0.5)), [], 3, 32).training(1, 4, seed=0))


def test_augmentation_grows_over_its_ramp(tiny_set: Path) -> None:
    found = open_set(tiny_set)

    def noise(epoch: int) -> float:
        settings = DataSettings(augment="strong", augment_ramp=9, normalise="frame")
        clips = Clips(FrameStore(found, 32, settings), list(found.sequences), 2, 32)
        flat = torch.cat([batch.clips for batch in clips.training(epoch, 12, seed=3)])
        return float(flat[..., :3, :].diff(dim=-1).abs().mean())  # above the bars the pictures are even

    assert np.mean([noise(k) for k in (1, 2)]) < 0.7 * np.mean([noise(k) for k in range(10, 16)])


def test_local_normalisation_takes_shading_away() -> None:
    """A gradient of light over a picture, and its brightness, hardly matter; an independent computation agrees."""
    rng = np.random.default_rng(0)
    grey = rng.uniform(0.3, 0.7, (1, 1, 1, 48, 48)).astype(np.float32).repeat(3, 2)
    plain = normalised(torch.from_numpy(grey), "local")
    shaded = normalised(torch.from_numpy(grey * np.linspace(0.8, 1.2, 48, dtype=np.float32)), "local")
    assert (plain - shaded).abs().mean() < 0.1 * plain.abs().mean()
    reach = 3

    def near(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        for r in range(48):
            for c in range(48):
                out[r, c] = x[max(0, r - reach) : r + reach + 1, max(0, c - reach) : c + reach + 1].mean()
        return out

    picture = grey[0, 0, 0].astype(np.float64)
    apart = picture - near(near(picture))
    expected = apart / (np.sqrt(near(near(apart**2))) + 0.03)
    assert np.abs(plain[0, 0, 1].numpy() - expected).max() < 1e-4
