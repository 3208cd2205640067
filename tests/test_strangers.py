import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tfen.errors import InputError
from tfen.labels import EXPRESSIONS
from tfen.synth.conditions import Device, relight
from tfen.synth.expressions import actions_over_time
from tfen.synth.film import Performer, _light
from tfen.synth.generate import performer_of, the_head
from tfen.synth.looks import BEARDS, Look, wear
from tfen.synth.people import make_subject
from tfen.synth.repertoire import FORMS, UNITS, draw, of_form, shown_by
from tfen.synth.settings import VARIATIONS, SynthSettings, Variation
from tfen.synth.skins import grid, paint

PUBLISHED = {
    ("anger", "pressed lips"): ((4, 7, 24), {10: 0.26, 17: 0.52, 23: 0.29}),
    ("disgust", "nose, lip and chin"): ((9, 10, 17), {4: 0.31, 24: 0.26}),
    ("fear", "stretched lips"): ((1, 4, 20, 25), {2: 0.57, 5: 0.63, 26: 0.33}),
    ("happiness", "smile"): ((12, 25), {6: 0.51}),
    ("sadness", "brows and corners"): ((4, 15), {1: 0.60, 6: 0.50, 11: 0.26, 17: 0.67}),
    ("surprise", "open mouth"): ((1, 2, 25, 26), {5: 0.66}),
}
"""Du, Tao & Martinez 2014, table 1: units that always take part, and the shares of people who add others."""
DRAWS = 2000


def within(count: int, draws: int, share: float) -> bool:
    return abs(count - draws * share) <= 4 * (draws * share * (1 - share)) ** 0.5


def test_the_table_says_what_was_published() -> None:
    assert tuple(FORMS) == EXPRESSIONS
    for (expression, name), (units, optional) in PUBLISHED.items():
        form = next(form for form in FORMS[expression] if form.name == name)
        assert (form.units, dict(form.optional)) == (units, optional)
        assert form.share == max(other.share for other in FORMS[expression])
    for forms in FORMS.values():
        assert sum(form.share for form in forms) == pytest.approx(1)
        assert all(unit in UNITS for form in forms for unit in (*form.units, *form.optional))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_forms_and_optional_units_are_as_common_as_the_table_says(expression: str) -> None:
    rng = np.random.default_rng(3)
    shown = [draw(expression, rng) for _ in range(DRAWS)]
    for form in FORMS[expression]:
        of_this = [one for one in shown if one.form is form]
        assert within(len(of_this), DRAWS, form.share)
        for unit, share in form.optional.items():
            assert within(sum(unit in one.units for one in of_this), len(of_this), share)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_unit_that_takes_part_is_seen_and_a_one_sided_mouth_moves_on_one_side(expression: str) -> None:
    rng = np.random.default_rng(4)
    for form in FORMS[expression]:
        for _ in range(60):
            one = of_form(form, rng)
            assert set(form.units) <= set(one.units)
            assert max(one.weights.values(), default=0) <= 1
            for unit in one.units:
                assert any(one.weights.get(name, 0) > 0.05 * weight for name, weight in UNITS[unit].items())
            if form.one_sided:
                sides = {
                    name[-4:] for name in one.weights if name.startswith("mouth") and name.endswith(("Left", "ight"))
                }
                assert len(sides) == 1


def test_people_mostly_show_their_own_form_and_together_all_of_them() -> None:
    rng = np.random.default_rng(5)
    habits = rng.random(40)
    shown = [[shown_by("fear", habit, rng).form.name for _ in range(50)] for habit in habits]
    most = [max(forms.count(name) for name in set(forms)) for forms in shown]
    assert np.mean(most) > 0.65 * 50
    assert {name for forms in shown for name in forms} == {form.name for form in FORMS["fear"]}
    together = [shown_by("fear", rng.random(), rng).form.name for _ in range(DRAWS)]
    assert all(within(together.count(form.name), DRAWS, form.share) for form in FORMS["fear"])


def test_published_forms_move_the_face_and_an_unknown_repertoire_is_refused() -> None:
    names = the_head().actions
    still = (np.ones(52), 0.3, np.random.default_rng(1), (1.0, 1.0), np.zeros(52))
    weights, _ = actions_over_time("surprise", "held", 2, names, *still, repertoire="published")
    assert weights.max() > 0.5
    with pytest.raises(InputError, match="choose from prototypes, published"):
        actions_over_time("surprise", "held", 2, names, *still, repertoire="invented")
    with pytest.raises(InputError, match=r"repertoire is 'publishd'.*did you mean published"):
        Variation(repertoire="publishd")


BEFORE = {
    "lab": ("9364236ea9df4ec9", [162, 187, 187, 172, 163, 179, 180, 170, 170, 181, 184, 173, 163, 161, 168, 172]),
    "wild": ("bb98cb6f6137d7ad", [151, 179, 186, 162, 147, 165, 167, 155, 139, 169, 178, 150, 168, 159, 174, 179]),
    "shiny": ("c7d9db781bc41dca", [165, 191, 195, 166, 160, 174, 174, 160, 146, 183, 187, 153, 181, 171, 180, 186]),
}
"""Variation -> digest of a person and of what is known about a take, and the take seen from far, before strangers came."""


@pytest.mark.parametrize("name", BEFORE)
def test_older_variations_are_what_they_were(name: str) -> None:
    settings = SynthSettings(seed=11, variation=name)
    performer = performer_of(3, settings)
    take = performer.perform("happiness", "onset-apex", 2, 48, np.random.default_rng([11, 3, 5]), settings.ranges())
    known = {key: take.truth[key] for key in ("intensity", "action_units", "pose", "light", "camera")}
    text = json.dumps([performer.subject.record(), known], sort_keys=True)
    seen = cv2.resize(take.frames[1], (4, 4), interpolation=cv2.INTER_AREA).mean(2)
    assert (hashlib.sha256(text.encode()).hexdigest()[:16], abs(seen.ravel() - BEFORE[name][1]).max() < 2) == (
        BEFORE[name][0],
        True,
    )


def test_strangers_are_the_same_for_the_same_seed_and_unlike_shiny_people() -> None:
    frames = {}
    for name in ("strangers", "strangers again", "shiny"):
        settings = SynthSettings(seed=7, variation=name.split()[0])
        take = performer_of(5, settings).perform("anger", "held", 1, 48, np.random.default_rng(2), settings.ranges())
        frames[name] = take.frames
        assert ("pixels" in take.truth["camera"]) == (name != "shiny")
    assert np.array_equal(frames["strangers"], frames["strangers again"])
    assert not np.array_equal(frames["strangers"], frames["shiny"])


def test_strangers_differ_from_shiny_people_in_looks_and_shape_alone() -> None:
    beards, lipstick = set(), 0
    for number in range(80):
        plain, other = (make_subject(number, np.random.default_rng([3, number]), 1.0, 1.0, by) for by in (0.0, 1.0))
        assert plain.look is None
        assert other.look is not None
        assert (plain.habits, plain.style, plain.age, plain.iris) == (other.habits, other.style, other.age, other.iris)
        moved = {name for name, value in plain.changes.items() if other.changes[name] != value}
        assert moved
        assert max(abs(other.changes[name]) for name in moved) <= 1.5
        beards.add(other.beard)
        assert other.sex == "male" or other.beard == "none"
        lipstick += other.look.lipstick > 0
        assert json.loads(json.dumps(other.record()))["look"]["beard"] == other.beard
        assert "look" not in plain.record()
    assert beards == set(BEARDS)
    assert 10 < lipstick < 40


def test_lipstick_colours_the_lips_and_a_beard_the_chin_and_nothing_else_far_away() -> None:
    bare = paint(make_subject(1, np.random.default_rng(6)).skin, np.random.default_rng(1))
    across, down = grid()

    def changed(look: Look) -> np.ndarray:
        difference = wear(bare, look, (0.02, 0.02, 0.02), np.random.default_rng(2)).colour
        return abs(difference - wear(bare, Look(), (0.02, 0.02, 0.02), np.random.default_rng(2)).colour).max(2) > 0.05

    lips = changed(Look(lipstick=0.9, lipstick_colour=(0.9, 0.0, 0.4)))
    assert lips.any()
    assert (abs(across[lips]) < 0.03).all()
    assert ((down[lips] > 0.89) & (down[lips] < 0.93)).all()
    beard = changed(Look(beard="full", beard_cover=1.0))
    assert beard.mean() > 5 * lips.mean()
    assert down[beard].min() > 0.83


def test_kinds_of_light_come_in_the_shares_of_the_variation_and_backlight_stands_behind() -> None:
    strangers = VARIATIONS["strangers"]
    kinds = []
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        light, setting = relight(_light(rng, strangers), rng, strangers)
        kinds.append(setting.kind)
        assert np.linalg.norm(light.key) == pytest.approx(1)
        assert (light.key[1] > 0) == (setting.kind == "backlight")
    for kind in ("studio", "backlight", "flash", "coloured"):
        assert within(kinds.count(kind), 1000, getattr(strangers, kind))
    rng = np.random.default_rng(1)
    relight(_light(np.random.default_rng(2), VARIATIONS["shiny"]), rng, VARIATIONS["shiny"])
    assert Device.draw(48, rng, VARIATIONS["shiny"]) is None
    assert rng.random() == np.random.default_rng(1).random()


def test_a_picture_of_few_pixels_keeps_its_size_and_loses_its_detail() -> None:
    picture = np.random.default_rng(1).random((96, 96, 3))
    few = Device(pixels=24, smoothing=0.0, sharpening=0.0, grain=0.0, coarseness=0.5)
    assert few.take(picture, np.random.default_rng(2)).shape == (24, 24, 3)
    settings = SynthSettings(seed=7, variation="strangers")
    variation = replace(settings.ranges(), pixels=(24, 24), phone=0.0, grain=0.0, noise=(0.0, 0.0), studio=1.0)
    detail = []
    for pixels in ((24, 24), (96, 96)):
        rng = np.random.default_rng(4)
        take = performer_of(2, settings).perform("neutral", "held", 1, 96, rng, replace(variation, pixels=pixels))
        assert take.frames.shape == (1, 96, 96, 3)
        detail.append(cv2.Laplacian(take.frames[0].astype(np.float32), cv2.CV_32F).std())
    assert detail[0] < 0.6 * detail[1]


def test_sunglasses_hide_the_eyes() -> None:
    subject = make_subject(0, np.random.default_rng([5, 0]), 0, 0, 1.0)
    camera = replace(VARIATIONS["lab"], noise=(0.0, 0.0), compression=(99, 100))
    shades = []
    for dark in (0.0, 0.95):
        assert subject.look is not None
        wearer = replace(subject, glasses=True, look=replace(subject.look, sunglasses=dark))
        take = Performer(the_head(), wearer, (5, 0)).perform("neutral", "held", 1, 96, np.random.default_rng(1), camera)
        x, y = np.round(np.array(take.truth["landmarks"])[0, 36:42].mean(0)).astype(int)
        shades.append(take.frames[0][y - 2 : y + 3, x - 3 : x + 4].mean())
    assert shades[1] < 0.75 * shades[0]


def test_an_unknown_variation_is_refused_and_shift_sets_lie_beyond_strangers() -> None:
    with pytest.raises(InputError, match="did you mean strangers"):
        SynthSettings(variation="stranger")
    strangers, people, camera = (VARIATIONS[name] for name in ("strangers", "shift-people", "shift-camera"))
    assert people.looks > strangers.looks
    assert people.strength[1] <= strangers.strength[0]
    assert camera.noise[0] >= strangers.noise[1]
    assert camera.blur[0] >= strangers.blur[1]
    assert camera.compression[1] < strangers.compression[0]


def test_the_documented_table_of_forms_is_the_one_that_is_drawn_from() -> None:
    page = (Path(__file__).parent.parent / "docs/synthetic.md").read_text()
    for expression, forms in FORMS.items():
        for form in forms:
            always = ", ".join(str(unit) for unit in form.units) or "-"
            some = ", ".join(f"{unit} ({100 * share:.0f} %)" for unit, share in form.optional.items()) or "-"
            side = ", on one side" if form.one_sided else ""
            assert f"| {expression} | {form.name} | {100 * form.share:.0f} % | {always}{side} | {some} |" in page
