"""Load on `tfen app`: fifty clients for a minute against one client alone; and how late the live camera is.

usage: python benchmarks/serving.py [CLIP [SECONDS]]

CLIP is sent again and again; without it, a film of two seconds is made. Prints how many films were finished by one client
alone and by fifty (the same time each), every answer that was neither a result nor "come back later", the server's
memory after a warm-up and at the end, and the delay of the live camera's answers.
"""

import asyncio
import http.client
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import websockets
from analyzing import make_film


def memory(process: int) -> int:
    """Return a process's resident memory, MiB."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) >> 10


def work(port: int, data: bytes, end: float, answers: Counter) -> None:
    """Send the film until the time is over; come back later where one is told so."""
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("POST", "/api/analyze", data)
            answer = connection.getresponse()
            said = answer.read()
            if time.monotonic() < end:
                good = answer.status != 200 or json.loads(said)["state"] == "done"
                answers[answer.status if good else "failed"] += 1
            if answer.status == 429:
                time.sleep(int(answer.headers["Retry-After"]))
        except OSError as error:
            answers[type(error).__name__] += 1
        finally:
            connection.close()


def run(port: int, data: bytes, clients: int, seconds: float) -> Counter:
    answers: Counter = Counter()
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=work, args=(port, data, end, answers)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


async def live(port: int, clip: Path) -> list[float]:
    """Send the clip as a camera would and return how late the answers were, seconds."""
    with av.open(str(clip)) as film:
        images = [frame.to_ndarray(format="bgr24") for frame in film.decode(video=0)]
    coded = [cv2.imencode(".jpg", cv2.resize(image, (480, 270)))[1].tobytes() for image in images[::2]]
    delays = []
    async with websockets.connect(f"ws://127.0.0.1:{port}/api/live") as socket:

        async def listen() -> None:
            async for message in socket:
                rows = json.loads(message)["rows"]
                if rows and rows[0]["face"] is not None:
                    delays.append(time.monotonic() - begin - rows[0]["time"])

        begin = time.monotonic()
        listening = asyncio.create_task(listen())
        for k in range(120):
            await socket.send(struct.pack(">d", time.monotonic() - begin) + coded[k % len(coded)])
            await asyncio.sleep(1 / 12)
        listening.cancel()
    return delays[5:]


def main() -> None:
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "film.mp4"
        if not clip.exists():
            make_film(clip, 2)
        data = clip.read_bytes()
        command = [sys.executable, "-m", "tfen.cli", "app", "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().rsplit(":", 1)[1].strip("/\n"))
            run(port, data, 8, 10)
            before = memory(server.pid)
            alone = run(port, data, 1, seconds)
            many = run(port, data, 50, seconds)
            after = memory(server.pid)
            late = asyncio.run(live(port, clip))
        finally:
            server.terminate()
            server.wait(30)
    print(
        f"one client: {alone[200]} films; fifty: {many[200]} films ({many[200] / alone[200]:.2f} times), {many[429]} told to come back"
    )
    others = {str(key): count for key, count in (alone + many).items() if key not in (200, 429)}
    print(f"other answers: {others or 'none'}; memory {before} MiB after a warm-up, {after} MiB at the end")
    print(f"live: answers {np.median(late):.2f} s after the picture (95 %: {np.percentile(late, 95):.2f} s)")


if __name__ == "__main__":
    main()
