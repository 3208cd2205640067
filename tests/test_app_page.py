"""The page, in a real browser."""

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from conftest import SMALL
from films import actor, paste, scene, shots, still, write_film
from PIL import Image as Pillow
from serving import Server

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


def test_a_film_on_the_page(server: Server, browser: Any, actors: Path, tmp_path: Path) -> None:
    face, back = actor(actors, "s0000-happiness"), scene(0)
    film = write_film(tmp_path / "smile.mp4", *shots(lambda t: paste(back, face[min(4, int(2 * t))], 200, 90), 3.0))
    page = browser.new_page(viewport={"width": 1000, "height": 900}, bypass_csp=True)  # the test itself needs eval
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"http://127.0.0.1:{server.port}/")
    _no_serious_violation(page)
    page.set_input_files("#file", str(film))
    page.click("#start")
    page.wait_for_selector("#found:not([hidden])", timeout=60000)
    assert page.locator("#people tbody tr").count() == 1
    line = page.locator(".timeline canvas")
    box = line.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    time_now = "document.querySelector('video').currentTime"
    assert page.evaluate(time_now) == pytest.approx(1.5, abs=0.2)
    line.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(time_now) == pytest.approx(2.5, abs=0.2)
    page.keyboard.press("Home")
    assert page.evaluate(time_now) == 0
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function(f"{time_now} > 0.3")
    page.wait_for_function("document.querySelector('.timeline canvas').getAttribute('aria-valuenow') > 0.2")
    with page.expect_download() as download:
        page.click("text=results.csv")
    assert len(Path(download.value.path()).read_text().splitlines()) == 17
    _no_serious_violation(page)
    for width in (1000, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(color_scheme="dark")
    _no_serious_violation(page)
    assert not problems
    page.close()


def test_a_film_chosen_before_the_page_is_ready_is_not_forgotten(server: Server, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear all")
    page = browser.new_page()
    held: list[Any] = []
    page.route("**/api/version", lambda route: held.append(route))
    page.goto(f"http://127.0.0.1:{server.port}/", wait_until="domcontentloaded")
    page.set_input_files("#file", str(tmp_path / "letter.mp4"))
    page.wait_for_timeout(100)
    assert page.is_disabled("#start")
    assert page.is_disabled("#record")
    held[0].continue_()
    page.click("#start")
    page.wait_for_selector("#failed:not([hidden])")
    page.close()


def test_what_is_no_film_is_told_on_the_page(server: Server, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear all")
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.set_input_files("#file", str(tmp_path / "letter.mp4"))
    page.click("#start")
    page.wait_for_selector("#failed:not([hidden])")
    assert "neither a film nor a photograph" in page.inner_text("#failed")
    picture = io.BytesIO()
    Pillow.fromarray(scene(2)).save(picture, "PNG")
    (tmp_path / "photo.png").write_bytes(picture.getvalue())
    page.set_input_files("#file", str(tmp_path / "photo.png"))
    page.click("#start")
    page.wait_for_selector("#found:not([hidden])")
    assert "No face was seen" in page.inner_text("#people")
    assert not page.is_visible("#failed")
    page.close()


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
    page.goto(f"http://127.0.0.1:{server.port}/live.html")
    _no_serious_violation(page)
    page.click("#start")
    page.wait_for_function("document.getElementById('label').textContent !== 'nobody'", timeout=30000)
    assert page.inner_text("#label") in EXPRESSIONS
    page.emulate_media(reduced_motion="reduce")
    bars = """[...document.querySelectorAll('.bar div')].map((bar) =>
        [bar.parentElement.nextElementSibling.textContent, bar.offsetWidth / bar.parentElement.offsetWidth])"""
    page.wait_for_function(f"{bars}.every(([text, share]) => Math.abs(parseFloat(text) / 100 - share) < 0.02)")
    page.wait_for_timeout(1500)
    delays = []
    for _ in range(8):
        page.wait_for_timeout(150)
        delays.append(float(page.get_attribute("#delay", "data-seconds")))
    assert min(delays) < 2  # for a machine under load; benchmarks/serving.py measures it
    _no_serious_violation(page)
    page.click("#stop")
    assert page.inner_text("#state") == "Stopped"
    one.close()
    assert server.ask("GET", "/api/health")[0] == 200


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
        _no_serious_violation(page)
        page.click("#runs a")
        assert "tfen" in page.inner_text("body")
        assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        page.close()
    finally:
        one.stop()
