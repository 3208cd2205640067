"""Load on `tfen app`: fifty clients for a minute against one client alone; and how late the live camera is.

usage: python benchmarks/serving.py [CLIP [SECONDS]]

CLIP is sent again and again; without it, a film of two seconds is made. Prints how many films were finished by one client
alone and by fifty (the same time each), every answer that was neither a result nor "come back later", the server's
memory after a warm-up and at the end, and the delay of the live camera's answers at several rates, to one and two viewers.
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


async def live(port: int, pictures: list[bytes], rate: float) -> list[float]:
    """Send pictures as a camera would and return how late the answers were, seconds."""
    delays = []
    async with websockets.connect(f"ws://127.0.0.1:{port}/api/live") as socket:

        async def listen() -> None:
            async for message in socket:
                rows = json.loads(message)["rows"]
                if rows and rows[0]["face"] is not None:
                    delays.append(time.monotonic() - begin - rows[0]["time"])

        begin = time.monotonic()
        listening = asyncio.create_task(listen())
        for k in range(round(8 * rate)):
            await socket.send(struct.pack(">d", time.monotonic() - begin) + pictures[k % len(pictures)])
            await asyncio.sleep(max(0.0, begin + (k + 1) / rate - time.monotonic()))
        listening.cancel()
    return delays[5:]


async def viewers(port: int, clip: Path, rate: float, count: int) -> list[float]:
    """Return how late the answers of several cameras at once were."""
    with av.open(str(clip)) as film:
        images = [frame.to_ndarray(format="bgr24") for frame in film.decode(video=0)]
    coded = [cv2.imencode(".jpg", cv2.resize(image, (480, 270)))[1].tobytes() for image in images[::2]]
    each = await asyncio.gather(*(live(port, coded, rate) for _ in range(count)))
    return [delay for own in each for delay in own]


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
            late = {
                (rate, count): asyncio.run(viewers(port, clip, rate, count)) for rate in (5, 15, 30) for count in (1, 2)
            }
        finally:
            server.terminate()
            server.wait(30)
    print(
        f"one client: {alone[200]} films; fifty: {many[200]} films ({many[200] / alone[200]:.2f} times), {many[429]} told to come back"
    )
    others = {str(key): count for key, count in (alone + many).items() if key not in (200, 429)}
    print(f"other answers: {others or 'none'}; memory {before} MiB after a warm-up, {after} MiB at the end")
    for (rate, count), own in late.items():
        print(
            f"live, {rate} pictures a second, {count} at once: answers {np.median(own):.2f} s after the picture "
            f"(95 %: {np.percentile(own, 95):.2f} s)"
        )


if __name__ == "__main__":
    main()
