"""The HTTP interface, as programs use it."""

import csv
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from films import actor, paste, scene, shots, still, write_film, write_heic
from PIL import Image as Pillow
from serving import Limits, Server, serving, slow_down

import tfen
from tfen.app.uploads import shown_name
from tfen.cli import main
from tfen.inference import trust


def test_a_film_is_answered_as_the_command_would(server: Server, film: Path, weights: Path, tmp_path: Path) -> None:
    status, said, _ = server.ask("POST", "/api/analyze?name=a.mp4", film.read_bytes())
    assert (status, said["kind"], said["state"]) == (200, "film", "done")
    with pytest.raises(SystemExit):
        main(["analyze", str(film), "--out", str(tmp_path / "out"), "--weights", str(weights)])
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [{**line, "file": "a.mp4"} for line in lines] == said["results"]
    assert [one["face"] for one in said["summary"]] == [0]
    described = server.ask("GET", "/api/schema")[1]
    assert described == json.loads((tmp_path / "out" / "schema.json").read_text())


def test_jobs_are_streamed_downloaded_and_deleted(server: Server, film: Path) -> None:
    status, job, _ = server.ask("POST", "/api/jobs?name=my%20film.mp4&annotate=true", film.read_bytes())
    assert status == 202
    assert job["name"] == "my film.mp4"
    events = server.ask("GET", f"/api/jobs/{job['id']}/events")[1].decode().strip().split("\n\n")
    rows = [json.loads(one.split("data: ")[1]) for one in events if one.startswith("event: row")]
    assert json.loads(events[-1].split("data: ")[1])["state"] == "done"
    whole = server.ask("GET", f"/api/jobs/{job['id']}/results")[1]
    assert whole["results"] == rows
    assert len(rows) == 10
    table = server.ask("GET", f"/api/jobs/{job['id']}/results.csv")[1].decode()
    assert len(table.splitlines()) == 11
    annotated = server.ask("GET", f"/api/jobs/{job['id']}/film.mp4")[1]
    assert annotated[4:8] == b"ftyp"
    for path in (f"{job['id']}/..%2fupload", f"{job['id']}/analysis.json", "nobody", "nobody/results"):
        assert server.ask("GET", f"/api/jobs/{path}")[0] == 404
    assert server.ask("DELETE", f"/api/jobs/{job['id']}")[0] == 204
    assert server.ask("GET", f"/api/jobs/{job['id']}")[0] == 404


def test_concurrent_requests_do_not_mix(server: Server, actors: Path, tmp_path: Path) -> None:
    films = [write_film(tmp_path / f"{k}.mp4", *still(actors, 0.8, k % 2, 60 + 70 * k)) for k in range(5)]
    found: dict[int, Any] = {}

    def ask(k: int) -> None:
        found[k] = server.ask("POST", f"/api/analyze?name={k}.mp4", films[k].read_bytes())

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, (status, said, _) in found.items():
        assert status == 200
        assert {row["file"] for row in said["results"]} == {f"{k}.mp4"}
        assert said["results"][1]["left"] + said["results"][1]["width"] / 2 == pytest.approx(135 + 70 * k, abs=25)


def test_names_are_shown_and_nothing_more() -> None:
    assert shown_name("C:\\films\\a.mp4") == "a.mp4"
    assert shown_name("../../etc/passwd") == "passwd"
    assert shown_name("\x00\n") == "upload"
    assert len(shown_name("x" * 500)) == 100


def test_a_film_that_was_not_read_to_its_end_is_told(
    server: Server, weights: Path, actors: Path, tmp_path: Path
) -> None:
    film = write_film(tmp_path / "whole.mkv", *still(actors, 4.0)).read_bytes()
    answer = server.ask("POST", "/api/analyze?name=cut.mkv", film[: len(film) // 2])[1]
    assert answer["state"] == "done"
    assert answer["complete"] is False
    assert answer["reason"]
    assert 0.5 < answer["reached"] < 3.5
    assert server.ask("POST", "/api/analyze", film)[1]["complete"] is True
    with serving(weights, Limits(work_seconds=2)) as hurried:
        slow_down(hurried, 0.5)
        answer = hurried.ask("POST", "/api/analyze", film)[1]
        assert answer["complete"] is False
        assert "took longer than 2 seconds" in answer["reason"]
        assert answer["reached"] < 4


def test_stills_in_the_container_of_films_are_photographs(server: Server, actors: Path, tmp_path: Path) -> None:
    """AVIF and HEIC: read as photographs, or refused, but never a film without faces."""
    Pillow.fromarray(still(actors, 0.1)[0][0]).save(tmp_path / "a.avif", quality=90)
    status, answer, _ = server.ask("POST", "/api/analyze?name=a.avif", (tmp_path / "a.avif").read_bytes())
    assert (status, answer["kind"], answer["summary"][0]["face"]) == (200, "photograph", 0)
    status, answer, _ = server.ask("POST", "/api/analyze?name=a.heic", b"\0\0\0\x18ftypheic" + bytes(400))
    assert status == 415
    assert "neither a film nor a photograph" in answer["error"]
    picture = still(actors, 0.1)[0][0]
    tiles = [picture[top : top + 192, left : left + 192] for top in (0, 168) for left in (0, 224)]
    whole = write_heic(tmp_path / "a.heic", tiles, 2).read_bytes()
    assert server.ask("POST", "/api/analyze", whole)[1]["kind"] == "photograph"
    unknown = bytearray(whole.replace(b"ftypheic", b"ftypisom", 1))
    unknown[unknown.index(b"pitm") + 8] = 0x7F  # the item that is the picture
    for damaged, says in (
        (whole[: 7 * len(whole) // 10], "ends before its picture does"),
        (bytes(unknown), "it is damaged"),
    ):
        status, answer, _ = server.ask("POST", "/api/analyze", damaged)
        assert status == 415, answer
        assert says in answer["error"]


def test_ordinary_photographs_are_taken(server: Server, actors: Path, tmp_path: Path) -> None:
    first = Pillow.fromarray(still(actors, 0.1)[0][0])
    pictures = io.BytesIO()
    first.save(pictures, "MPO", save_all=True, append_images=[Pillow.fromarray(scene(1))], quality=95)
    status, answer, _ = server.ask("POST", "/api/analyze?name=a.jpg", pictures.getvalue())
    assert (status, answer["kind"], answer["summary"][0]["face"]) == (200, "photograph", 0)
    large = io.BytesIO()
    Pillow.new("RGB", (8064, 6048), (90, 90, 90)).save(large, "JPEG")  # 48 megapixels
    status, answer, _ = server.ask("POST", "/api/analyze?name=b.jpg", large.getvalue())
    assert (status, answer["kind"], answer["summary"]) == (200, "photograph", [])


def test_forms_are_taken_as_well(server: Server, film: Path) -> None:
    start = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="my film.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
    )
    form = start + film.read_bytes() + b"\r\n--x--\r\n"  # as `curl -F file=@film.mp4` sends it
    status, answer, _ = server.ask("POST", "/api/analyze", form, Content_Type="multipart/form-data; boundary=x")
    assert status == 200
    assert (answer["state"], answer["name"], len(answer["results"])) == ("done", "my film.mp4", 10)
    head = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
    for body, says in (
        (b"--x--\r\n", "no file"),
        (head % b"annotate" + b"true\r\n--x--\r\n", "nothing else"),
        (b"nonsense", "damaged"),
    ):
        status, answer, _ = server.ask("POST", "/api/jobs", body, Content_Type="multipart/form-data; boundary=x")
        assert status == 400
        assert says in answer["error"]


def test_failures_have_one_form_and_head_is_answered(server: Server, film: Path) -> None:
    for method, path, status in (
        ("GET", "/api/nothing", 404),
        ("GET", "/nothing.html", 404),
        ("GET", "/api/jobs/nobody", 404),
        ("PUT", "/api/jobs", 405),
        ("POST", "/api/jobs?window=x", 422),
        ("POST", "/api/jobs?windw=2", 422),
        ("POST", "/api/jobs?detector=best", 422),
        ("POST", "/api/jobs?weights=others", 422),
        ("POST", "/api/jobs", 400),
    ):
        got, answer, _ = server.ask(method, path)
        assert got == status, (path, answer)
        assert list(answer) == ["error"]
        assert answer["error"]
    job = server.ask("POST", "/api/jobs", film.read_bytes())[1]
    server.finished(job["id"])
    for path in (
        "/",
        "/api/health",
        f"/api/jobs/{job['id']}",
        f"/api/jobs/{job['id']}/results.csv",
        f"/api/jobs/{job['id']}/events",
    ):
        status, body, headers = server.ask("HEAD", path)
        assert (status, body) == (200, b"")
        assert headers["content-type"]
    assert server.ask("HEAD", "/api/nothing")[0] == 404


def test_settings_are_those_of_the_command(server: Server, film: Path, weights: Path, tmp_path: Path) -> None:
    chosen = {"window": 2.0, "smoothing": 0.0, "min_confidence": 0.9}
    query = "&".join(f"{name}={value}" for name, value in chosen.items())
    answer = server.ask("POST", f"/api/analyze?name=a.mp4&{query}", film.read_bytes())[1]
    flags = [part for name, value in chosen.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    with pytest.raises(SystemExit):
        main(["analyze", str(film), "--out", str(tmp_path / "out"), "--weights", str(weights), *flags])
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [{**line, "file": "a.mp4"} for line in lines] == answer["results"]
    assert len(lines) == 5
    assert answer["settings"] | chosen == answer["settings"]


@pytest.mark.extra("openapi_python_client")
def test_a_generated_client_works(server: Server, film: Path, tmp_path: Path) -> None:
    """The interface's description is complete enough for a program to write the program that uses it."""
    (tmp_path / "openapi.json").write_text(json.dumps(server.ask("GET", "/api/openapi.json")[1]))
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "openapi-python-client"), "generate", "--path", "openapi.json", "--config", "config.yml",
         "--meta", "none", "--output-path", "tfen_client", "--fail-on-warning"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    script = f"""
import time
from io import BytesIO
from tfen_client import Client
from tfen_client.api.analysis import add, analyze, download, events, remove, results, status
from tfen_client.api.server import health, version
from tfen_client.models import Failure
from tfen_client.types import File
client = Client(base_url={server.address.rstrip("/")!r}, timeout=60)
assert health.sync(client=client).status == "ok"
assert version.sync(client=client).expressions["happiness"].colour.startswith("#")
data = open({str(film)!r}, "rb").read()
answer = analyze.sync(client=client, body=File(BytesIO(data)), name="a.mp4")
assert answer.complete and len(answer.results) == 10 and answer.results[0].face == 0, answer
assert isinstance(analyze.sync(client=client, body=File(BytesIO(b"no film"))), Failure)
job = add.sync(client=client, body=File(BytesIO(data)), name="b.mp4")
while status.sync(job.id, client=client).state not in ("done", "failed"):
    time.sleep(0.1)
assert results.sync(job.id, client=client).name == "b.mp4"
assert "event: row" in events.sync_detailed(job.id, client=client).content.decode()
assert download.sync_detailed(job.id, "results.csv", client=client).content.startswith(b"file,")
assert remove.sync_detailed(job.id, client=client).status_code == 204
assert isinstance(status.sync(job.id, client=client), Failure)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_people_can_be_named_and_joined(server: Server, actors: Path, tmp_path: Path) -> None:
    """A face that leaves for long gets another number; told that both are one person, all tables tell it so."""
    face, back = actor(actors, "s0000-neutral")[0], scene(0)
    film = write_film(
        tmp_path / "twice.mp4",
        *shots(lambda t: back if 1.6 < t < 4.4 else paste(back, face, 60 if t < 2 else 420, 90), 6.0),
    )
    job = server.ask("POST", "/api/jobs?name=twice.mp4", film.read_bytes())[1]
    assert server.finished(job["id"])["state"] == "done"
    before = server.ask("GET", f"/api/jobs/{job['id']}/results")[1]
    assert [one["face"] for one in before["summary"]] == [0, 1]
    told = {"people": [{"face": 0, "name": "Anna"}, {"face": 1, "same_as": 0}]}
    put = ("PUT", f"/api/jobs/{job['id']}/people", json.dumps(told).encode())
    status, after, _ = server.ask(*put, Content_Type="application/json")
    assert status == 200, after
    [one] = after["summary"]
    assert (one["face"], one["name"], one["results"]) == (0, "Anna", sum(own["results"] for own in before["summary"]))
    assert {row["face"] for row in after["results"]} == {0, None}
    table = server.ask("GET", f"/api/jobs/{job['id']}/results.csv")[1].decode().splitlines()
    assert table[0].endswith(",name")
    assert table[1].endswith(",Anna")
    elan, boris, workbook = (
        server.ask("GET", f"/api/jobs/{job['id']}/{name}")[1] for name in ("elan.eaf", "boris.boris", "results.xlsx")
    )
    assert after["episodes"] == [] or b'TIER_ID="face 0 Anna"' in elan
    assert all(one["name"] == "face 0 Anna" for one in boris["subjects_conf"].values())
    sheet = openpyxl.load_workbook(io.BytesIO(workbook))["summary"]
    assert [row[-1].value for row in sheet] == ["name", "Anna"]
    [read] = csv.DictReader(server.ask("GET", f"/api/jobs/{job['id']}/files.csv")[1].decode().splitlines())
    assert (read["faces"], read["status"]) == ("1", "done")
    wrong = {"people": [{"face": 0, "same_as": 7}]}
    status, answer, _ = server.ask(put[0], put[1], json.dumps(wrong).encode(), Content_Type="application/json")
    assert (status, answer["error"]) == (422, "there is no face 7 in this film")
    assert after["people"] == [{"face": 0, "name": "Anna", "same_as": None}, {"face": 1, "name": "", "same_as": 0}]
    assert server.ask("GET", f"/api/jobs/{job['id']}/results")[1]["people"] == after["people"]
    server.ask(put[0], put[1], b'{"people": []}', Content_Type="application/json")
    assert server.ask("GET", f"/api/jobs/{job['id']}/results")[1]["summary"] == before["summary"]


def test_a_telling_without_names_says_as_well_how_the_film_was_read(
    server: Server, actors: Path, tmp_path: Path
) -> None:
    """All downloads of a film that broke off say so after numbers were joined, however many tell it at once."""
    face, back = actor(actors, "s0000-neutral")[0], scene(0)
    film = write_film(tmp_path / "long.mkv", *shots(lambda t: paste(back, face, 200, 90), 2.4))
    cut = film.read_bytes()[: 6 * film.stat().st_size // 10]
    job = server.ask("POST", "/api/jobs?name=my%20film.mkv", cut)[1]
    assert server.finished(job["id"])["complete"] is False
    before = server.ask("GET", f"/api/jobs/{job['id']}/files.csv")[1]
    told = json.dumps({"people": [{"face": 0}]}).encode()
    answers: list[int] = []

    def tell() -> None:
        answers.append(server.ask("PUT", f"/api/jobs/{job['id']}/people", told, Content_Type="application/json")[0])

    threads = [threading.Thread(target=tell) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    assert server.ask("GET", f"/api/jobs/{job['id']}/files.csv")[1] == before
    workbook = server.ask("GET", f"/api/jobs/{job['id']}/results.xlsx")[1]
    names, values = ([cell.value for cell in row] for row in openpyxl.load_workbook(io.BytesIO(workbook))["files"])
    said = dict(zip(names, values, strict=True))
    assert (said["status"], said["stem"]) == ("broke off", "my film")
    boris = server.ask("GET", f"/api/jobs/{job['id']}/boris.boris")[1]
    assert list(boris["observations"]) == ["my film"]


def test_two_who_are_seen_together_are_not_one(server: Server, actors: Path, tmp_path: Path) -> None:
    faces, back = [actor(actors, f"s000{k}-neutral")[0] for k in (0, 1)], scene(0)
    film = write_film(
        tmp_path / "two.mp4", *shots(lambda t: paste(paste(back, faces[0], 60, 90), faces[1], 400, 90), 1.0)
    )
    job = server.ask("POST", "/api/jobs?name=two.mp4", film.read_bytes())[1]
    server.finished(job["id"])
    told = json.dumps({"people": [{"face": 1, "same_as": 0}]}).encode()
    status, answer, _ = server.ask("PUT", f"/api/jobs/{job['id']}/people", told, Content_Type="application/json")
    assert status == 422
    assert "both seen at" in answer["error"]


def test_downloads_have_the_films_name(server: Server, film: Path) -> None:
    job = server.ask("POST", "/api/jobs?name=Gespr%C3%A4ch%201.mp4", film.read_bytes())[1]
    server.finished(job["id"])
    headers = server.ask("GET", f"/api/jobs/{job['id']}/episodes.csv")[2]
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''Gespr%C3%A4ch%201-episodes.csv"
    for name in ("elan.eaf", "boris.boris", "files.csv", "results.xlsx"):
        status, body, _ = server.ask("GET", f"/api/jobs/{job['id']}/{name}")
        assert status == 200
        assert str(tempfile.gettempdir()) not in str(body)


def test_the_sentence_about_strangers_is_the_model_cards() -> None:
    """The rates beside the figures are those that were measured."""
    card = (Path(tfen.__file__).parent / "weights" / "MODEL_CARD.md").read_text()
    told = card[card.index("`tfen analyze` says of the photographs") :]
    for shown, count in (("neutral", 64), ("happiness", 53)):
        row = re.search(rf"\| {shown} \|(.*)\| ([0-9.]+ %) \|", told)
        assert row is not None
        cells = [int(cell) for cell in row[1].split("|")]
        assert (sum(cells), max(cells)) == (68, count)
        assert row[2] == f"{100 * count / 68:.1f} %"
        assert row[2] in trust.ON_STRANGERS
    assert trust.View(39, 0.2, -31, 0).doubts() == ["small", "blurred", "turned"]
    assert trust.View(60, 0.5, 29, -29).doubts() == []
    assert [trust.percent(value) for value in (1.0, 0.996, 0.5, 0.004)] == ["> 99 %", "> 99 %", "50 %", "< 1 %"]
