"""Pictures from a server: `rowlock.Images` beside bare requests, by as many threads and one after the other.

A web server on loopback waits before each answer, as one far away does; it runs in this process, and takes its share
of the processors from everybody alike. Every candidate fetches, decodes and resizes the same pictures; "x" is how often
the time of Rowlock it takes. With a cache of pixels, the server is asked for their state too, or not (``immutable``).
The last lines are what hashing costs a MiB. Run it as ``python benchmarks/remote.py [seconds of waiting]``.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import urllib3
from PIL import Image

import rowlock as rl
from rowlock.pictures.decode import decode
from rowlock.pictures.digests import ALGORITHMS, digest_of_bytes
from rowlock.pictures.resize import resize_into

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_PICTURES, BATCH_ROWS, SIZE, NUM_AT_A_TIME = 512, 64, (150, 150), 16


def make_pictures() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    found = {}
    for number in range(NUM_PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (25, 33, 3), np.uint8))
        buffer = io.BytesIO()
        coarse.resize((500, 374), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=87)
        found[f"/{number}.jpg"] = buffer.getvalue()
    return found


def serve(pictures: dict[str, bytes], wait_seconds: float) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_GET(self):
            time.sleep(wait_seconds)
            data = pictures[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            """Clients that hang up at the end are no news."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def by_rowlock(urls: list[str], allowed: str, *, immutable: bool = False, **settings) -> Callable[[], float]:
    remote = rl.Remote(allowed, max_concurrent=NUM_AT_A_TIME, immutable=immutable)
    images = rl.Images("url", size=SIZE, remote=remote, **settings)
    loader = rl.Dataset(pa.table({"url": urls}), {"image": images}).batches(BATCH_ROWS, shuffle=False)
    return lambda: timed(lambda: [None for _ in loader])


def by_bare_requests(urls: list[str], num_threads: int) -> Callable[[], float]:
    pool = urllib3.PoolManager(maxsize=num_threads)
    out = np.empty((len(urls), *SIZE, 3), np.uint8)

    def fetch(row: int) -> None:
        resize_into(decode(pool.request("GET", urls[row]).data, 3, 10**8, SIZE, "stretch"), out[row], "stretch", None)

    def run() -> None:
        with ThreadPoolExecutor(num_threads) as executor:
            list(executor.map(fetch, range(len(urls))))

    return lambda: timed(run)


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compare(wait_seconds: float) -> None:
    pictures = make_pictures()
    server = serve(pictures, wait_seconds)
    address = f"http://127.0.0.1:{server.server_port}"
    urls = [address + path for path in pictures]
    one_by_one = NUM_PICTURES // 8 if wait_seconds else NUM_PICTURES
    with tempfile.TemporaryDirectory() as folder:
        cached = by_rowlock(urls, f"{address}/", cache=f"{folder}/asked")
        forever = by_rowlock(urls, f"{address}/", cache=f"{folder}/immutable", immutable=True)
        seconds = {"Rowlock": by_rowlock(urls, f"{address}/")()}
        seconds[f"bare requests, {NUM_AT_A_TIME} threads"] = by_bare_requests(urls, NUM_AT_A_TIME)()
        seconds["bare requests, one by one"] = by_bare_requests(urls[:one_by_one], 1)() * NUM_PICTURES / one_by_one
        seconds["Rowlock, first epoch with a cache"] = cached()
        seconds["Rowlock, second epoch with a cache"] = cached()
        seconds["Rowlock, first epoch, immutable"] = forever()
        seconds["Rowlock, second epoch, immutable"] = forever()
    server.shutdown()
    print(f"{NUM_PICTURES} pictures of {len(pictures['/0.jpg']):,} bytes, {wait_seconds * 1e3:.0f} ms a request")
    for name, spent in seconds.items():
        print(f"{name:36s} {NUM_PICTURES / spent:8.0f} pictures/s {spent / seconds['Rowlock']:6.2f} x")


def hashes() -> None:
    data = np.random.default_rng(0).bytes(16 << 20)
    for name in ALGORITHMS:
        best = min(timed(lambda name=name: digest_of_bytes(data, name)) for _ in range(9))
        print(f"{name:12s} {best / 16 * 1e3:.2f} ms/MiB")


if __name__ == "__main__":
    compare(float(sys.argv[1]) if len(sys.argv) > 1 else 0.05)
    hashes()
