"""The page, in a real browser."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from conftest import SMALL
from films import actor, paste, scene, shots, still, write_film
from PIL import Image as Pillow
from serving import Server, serving, slow_down, soon

from tfen.cli import main
from tfen.labels import EXPRESSIONS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playing:
        yield playing


@pytest.fixture(scope="module")
def browser(playwright: Any) -> Iterator[Any]:
    one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
    yield one
    one.close()


def _no_serious_violation(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(found)[:2000]


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """A page whose scripts must not fail; axe needs eval."""
    one = browser.new_page(viewport={"width": 1000, "height": 900}, bypass_csp=True)
    problems: list[str] = []
    one.on("pageerror", lambda error: problems.append(str(error)))
    one.goto(server.address)
    yield one
    one.close()
    assert not problems


def _analyze(page: Any, *films: Path) -> None:
    page.set_input_files("#file", [str(film) for film in films])
    page.click("#start")


def _done(page: Any) -> None:
    page.wait_for_selector("#found:not([hidden]) #after:not([hidden])", timeout=60000)


def _smiling(actors: Path, path: Path, seconds: float = 3.0) -> Path:
    face, back = actor(actors, "s0000-happiness"), scene(0)
    return write_film(path, *shots(lambda t: paste(back, face[min(4, int(2 * t))], 200, 90), seconds))


@pytest.mark.extra("playwright")
def test_a_film_on_the_page(page: Any, actors: Path, tmp_path: Path) -> None:
    _no_serious_violation(page)
    _analyze(page, _smiling(actors, tmp_path / "smile.mp4"))
    _done(page)
    assert page.locator("#people tbody tr").count() == 1
    assert "can be wrong" in page.inner_text("#trust")
    assert "100 %" not in page.inner_text("#episodes")
    assert re.search(r"\d+ pixels, sharpness 0\.\d\d, turned \d+°", page.inner_text("#people"))
    line = page.locator(".track")
    line.click(position={"x": line.bounding_box()["width"] / 2, "y": 5})
    time_now = "document.querySelector('video').currentTime"
    assert page.evaluate(time_now) == pytest.approx(1.5, abs=0.2)
    assert re.match(r"face 0, 1\.\d s: .*pixels", page.inner_text(".tip"))
    line.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(time_now) == pytest.approx(2.5, abs=0.2)
    page.wait_for_function("/^2\\.[3-7] s: /.test(document.querySelector('.track').getAttribute('aria-valuetext'))")
    page.keyboard.press("Home")
    assert page.evaluate(time_now) == 0
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function(f"{time_now} > 0.3")
    page.wait_for_function("document.querySelector('.track').getAttribute('aria-valuenow') > 0.2")
    with page.expect_download() as download:
        page.click("#downloads a[title='results.csv']")
    assert download.value.suggested_filename == "smile-results.csv"
    assert len(Path(download.value.path()).read_text().splitlines()) == 17
    _no_serious_violation(page)
    for width in (1000, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(color_scheme="dark")
    _no_serious_violation(page)


@pytest.mark.extra("playwright")
def test_the_timeline_has_no_gaps_and_can_be_zoomed_and_marked(page: Any, actors: Path, tmp_path: Path) -> None:
    _analyze(page, _smiling(actors, tmp_path / "smile.mp4"))
    _done(page)
    transparent = """() => {
        const canvas = document.querySelector('.track canvas'), pen = canvas.getContext('2d');
        const width = Math.floor(canvas.width * 0.9), strip = Math.round(canvas.height * 20 / 64);
        const pixels = pen.getImageData(2, strip, width, canvas.height - strip).data;
        return pixels.filter((value, k) => k % 4 === 3 && value < 255).length;
    }"""
    assert page.evaluate(transparent) == 0
    page.locator(".track").focus()
    page.keyboard.press("+")
    assert "0.0 s to 2.0 s" in page.inner_text(".tools .note")
    page.keyboard.press("[")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    page.wait_for_selector("#averages table")
    assert "Averages from 0.0 s to 1.0 s" in page.inner_text("#averages")
    assert page.locator("#averages tbody tr").count() == 1
    assert page.evaluate("document.activeElement.className") == "track"
    page.click("text=Clear mark")
    assert page.locator("#averages table").count() == 0


@pytest.mark.extra("playwright")
def test_several_films_wait_in_a_list_can_be_cancelled_and_are_found_again(
    page: Any, server: Server, actors: Path, tmp_path: Path
) -> None:
    films = [
        _smiling(actors, tmp_path / name, seconds) for name, seconds in (("a.mp4", 1.0), ("b.mp4", 9.0), ("c.mp4", 1.0))
    ]
    _analyze(page, *films)
    assert page.locator("#list li").count() == 3
    page.wait_for_function("document.querySelectorAll('#list li')[0].innerText.includes('Done')", timeout=60000)
    page.click("[aria-label='Cancel b.mp4']")
    assert page.locator("#list li").count() == 2
    assert page.evaluate("document.activeElement.ariaLabel") == "Cancel c.mp4"
    page.wait_for_function("document.querySelectorAll('#list li')[1].innerText.includes('Done')", timeout=60000)
    assert len(server.jobs._jobs) >= 2
    page.reload()
    _done(page)
    assert page.locator("#list li").count() == 2
    assert page.inner_text("#title") in ("a.mp4", "c.mp4")
    assert "Choose it again" in page.inner_text("#stage")
    page.click("[aria-label='Delete a.mp4']")
    page.click("[aria-label='Delete c.mp4']")
    assert not page.is_visible("#found")


@pytest.mark.extra("playwright")
def test_results_are_shown_while_the_film_is_read_and_it_can_be_cancelled(
    weights: Path, browser: Any, actors: Path, tmp_path: Path
) -> None:
    film = _smiling(actors, tmp_path / "long.mp4", 12.0)
    with serving(weights) as one:
        slow_down(one, 0.15)
        page = browser.new_page()
        page.goto(one.address)
        _analyze(page, film)
        page.wait_for_selector(".track")
        assert "still being read" in page.inner_text("#notice")
        assert re.search(r"read \(\d+ %\), \d+ results, about \d+ s left", page.inner_text("#list li"))
        page.click("[aria-label='Cancel long.mp4']")
        assert soon(lambda: one.jobs._working is None and not one.jobs._jobs, 1.5)
        assert not page.is_visible("#found")
        page.close()


@pytest.mark.extra("playwright")
def test_a_token_is_asked_for_on_the_page(weights: Path, browser: Any) -> None:
    with serving(weights, token="open sesame") as one:
        page = browser.new_page(bypass_csp=True)
        page.goto(one.address)
        page.fill("#token", "guess")
        page.click("text=Go on")
        assert "not the token" in page.inner_text("[role=alert]")
        page.fill("#token", "open sesame")
        page.click("text=Go on")
        page.wait_for_selector("#start")
        page.wait_for_function("document.getElementById('limits').textContent.includes('MB')")
        page.close()


@pytest.mark.extra("playwright")
def test_a_film_that_breaks_off_is_told_on_the_page(page: Any, actors: Path, tmp_path: Path) -> None:
    whole = _smiling(actors, tmp_path / "whole.mkv", 6.0).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    _analyze(page, tmp_path / "cut.mkv")
    _done(page)
    assert "was not read to its end" in page.inner_text("#notice")
    assert "only" in page.inner_text("#list li")


@pytest.mark.extra("playwright")
def test_a_film_that_the_browser_cannot_show_is_shown_annotated(page: Any, actors: Path, tmp_path: Path) -> None:
    images, times = still(actors, 1.0)
    _analyze(page, write_film(tmp_path / "old.mp4", images, times, codec="mpeg4"))
    _done(page)
    page.wait_for_function("document.querySelector('video')?.src.endsWith('film.mp4')")
    page.wait_for_function("document.querySelector('video').videoWidth > 0")


@pytest.mark.extra("playwright")
def test_cancelling_counts_before_a_film_is_sent(page: Any, actors: Path, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_input_files("#file", str(_smiling(actors, tmp_path / "smile.mp4", 1.0)))
    page.evaluate("start.click(); document.querySelector('#list button:last-child').click()")
    page.wait_for_timeout(1500)
    assert not [url for url in asked if "/api/jobs" in url]
    assert not page.is_visible("#found")
    assert not page.is_visible("#queue")


@pytest.mark.extra("playwright")
def test_joined_numbers_stay_joined_after_a_reload(page: Any, actors: Path, tmp_path: Path) -> None:
    face, back = actor(actors, "s0000-neutral")[0], scene(0)
    film = shots(lambda t: back if 1.6 < t < 4.4 else paste(back, face, 60 if t < 2 else 420, 90), 6.0)
    _analyze(page, write_film(tmp_path / "twice.mp4", *film))
    _done(page)
    rows = page.locator("#people tbody tr")
    assert rows.count() == 2
    page.select_option("[aria-label='Face 1 is the same person as']", "0")
    page.click("#apply")
    page.wait_for_function("document.querySelectorAll('#people tbody tr').length === 1")
    page.reload()
    _done(page)
    assert rows.count() == 1
    page.fill("[aria-label='Name of face 0']", "Anna")
    page.click("#apply")
    page.wait_for_function("document.querySelector('.line .name').textContent === 'Anna'")
    assert rows.count() == 1


@pytest.mark.extra("playwright")
def test_a_new_face_takes_nobody_s_focus(page: Any) -> None:
    focused = page.evaluate("""async () => {
        const { Timeline } = await import("./timeline.js");
        const { expressions } = await import("./common.js");
        const where = document.body.appendChild(document.createElement("div"));
        const line = new Timeline(where, () => {}, (face) => `face ${face}`);
        const seen = (face) => [face, [0, 0.2, 0.4].map((time) => ({
            face, time, label: "neutral", confidence: 0.9, size: 90, sharpness: 0.6, yaw: 0, pitch: 0,
            ...Object.fromEntries(expressions.map((name) => [name, 1 / expressions.length])) }))];
        line.update(new Map([seen(1)]), 1, 0.2);
        where.querySelector(".track").focus();
        line.update(new Map([seen(0), seen(1), seen(2)]), 1, 0.2);
        return [...where.querySelectorAll(".track")].map((track) => track === document.activeElement);
    }""")
    assert focused == [False, True, False]


@pytest.mark.extra("playwright")
def test_a_value_that_cannot_be_is_shown_where_it_is(page: Any, actors: Path, tmp_path: Path) -> None:
    page.set_input_files("#file", str(_smiling(actors, tmp_path / "smile.mp4", 1.0)))
    page.evaluate("document.getElementById('window').value = '99'")
    assert not page.is_visible("#window")
    page.click("#start")
    page.wait_for_selector("#window:visible")
    assert not page.is_visible("#queue")
    page.fill("#window", "1.25")
    page.click("#start")
    _done(page)


@pytest.mark.extra("playwright")
def test_people_are_named_on_the_page(page: Any, actors: Path, tmp_path: Path) -> None:
    _analyze(page, _smiling(actors, tmp_path / "smile.mp4", 1.0))
    _done(page)
    page.fill("[aria-label='Name of face 0']", "Anna")
    page.click("#apply")
    page.wait_for_function("document.querySelector('.line .name').textContent === 'Anna'")
    page.click("#undo")
    page.wait_for_function("document.querySelector('.line .name').textContent === 'face 0'")


@pytest.mark.extra("playwright")
def test_a_film_chosen_before_the_page_is_ready_is_not_forgotten(server: Server, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear all")
    page = browser.new_page()
    held: list[Any] = []
    page.route("**/api/version", lambda route: held.append(route))
    page.goto(server.address, wait_until="domcontentloaded")
    page.set_input_files("#file", str(tmp_path / "letter.mp4"))
    page.wait_for_timeout(100)
    assert page.is_disabled("#start")
    assert page.is_disabled("#record")
    held[0].continue_()
    page.click("#start")
    page.wait_for_selector("#failed:not([hidden])")
    page.close()


@pytest.mark.extra("playwright")
def test_what_is_no_film_is_told_on_the_page(server: Server, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear all")
    page = browser.new_page()
    page.goto(server.address)
    page.set_input_files("#file", str(tmp_path / "letter.mp4"))
    page.click("#start")
    page.wait_for_selector("#failed:not([hidden])")
    assert "neither a film nor a photograph" in page.inner_text("#failed")
    picture = io.BytesIO()
    Pillow.fromarray(scene(2)).save(picture, "PNG")
    (tmp_path / "photo.png").write_bytes(picture.getvalue())
    page.set_input_files("#file", str(tmp_path / "photo.png"))
    page.click("#start")
    _done(page)
    assert "No face was seen" in page.inner_text("#people")
    assert "nothing can be said" in page.inner_text("#episodes")
    assert "neutral" not in page.inner_text("#episodes")
    assert not page.is_visible("#failed")
    page.close()


@pytest.mark.extra("playwright")
def test_the_camera_live(server: Server, playwright: Any, actors: Path, tmp_path: Path) -> None:
    """A fake camera shows a synthetic film; boxes come back soon after."""
    images, _ = still(actors, 1.0)
    with (tmp_path / "camera.mjpeg").open("wb") as file:
        for image in images:
            file.write(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes())
    flags = ["--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
             f"--use-file-for-fake-video-capture={tmp_path / 'camera.mjpeg'}"]  # fmt: skip
    one = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
    page = one.new_page(bypass_csp=True)
    page.add_init_script("""const take = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        window.taken = [];
        navigator.mediaDevices.getUserMedia = async (wanted) => { taken.push(await take(wanted)); return taken.at(-1); };""")
    page.goto(f"{server.address}live.html")
    _no_serious_violation(page)
    page.evaluate("start.click(); start.click()")
    page.wait_for_function("document.getElementById('label').textContent !== 'nobody'", timeout=30000)
    assert page.inner_text("#label") in EXPRESSIONS or "cannot be judged" in page.inner_text("#label")
    assert page.evaluate("document.activeElement.id") == "stop"
    page.emulate_media(reduced_motion="reduce")
    bars = """[...document.querySelectorAll('.bar div')].map((bar) =>
        [bar.dataset.share, bar.offsetWidth / bar.parentElement.offsetWidth])"""
    page.wait_for_function(f"{bars}.every(([told, share]) => Math.abs(told - share) < 0.02)")
    page.wait_for_timeout(1500)
    delays = []
    for _ in range(8):
        page.wait_for_timeout(150)
        delays.append(float(page.get_attribute("#delay", "data-seconds")))
    assert min(delays) < 2  # for a machine under load; benchmarks/serving.py measures it
    _no_serious_violation(page)
    page.click("#stop")
    assert page.inner_text("#state") == "Stopped"
    assert page.evaluate("taken.flatMap((one) => one.getTracks()).map((track) => track.readyState)") == ["ended"]
    assert not page.is_visible("#told")
    assert not page.is_visible("#stage")
    assert page.evaluate("document.activeElement.id") == "start"
    one.close()
    assert server.ask("GET", "/api/health")[0] == 200


@pytest.mark.extra("playwright")
def test_finished_runs_side_by_side(weights: Path, tiny_set: Path, browser: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("one", "two"):
        with contextlib.suppress(SystemExit):
            main(["crossval", str(tiny_set), str(runs / name), "--folds.count", "2", "--folds.only", "0", *SMALL])
    with contextlib.suppress(SystemExit):
        main(["report", str(runs / "one")])
    one = Server(weights, runs=runs)
    try:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{one.port}/runs.html")
        page.wait_for_selector("#runs tbody tr")
        assert page.locator("#runs tbody tr").count() == 2
        assert page.locator("#runs a").count() == 1
        assert page.locator("#runs tbody tr").first.locator("td").nth(3).inner_text() == "–"
        _no_serious_violation(page)
        page.click("#runs a")
        assert "tfen" in page.inner_text("body")
        assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        page.close()
    finally:
        one.stop()
