"""Pictures from web servers: batches as from the disk, whatever the network does, and nothing that is not allowed.

The server is a real one, on loopback, whose faults the tests write down. This file is also a program, for tests that
need processes: ``python test_remote.py hang|leave|fork URL``.
"""

from __future__ import annotations

import contextlib
import email.utils
import gc
import hashlib
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import rowlock as rl
from rowlock.errors import ConfigError, DecodeError, LoaderClosedError, RowError
from rowlock.inputs.images import Images
from rowlock.meter import Meter
from rowlock.remote.addresses import refused_address
from rowlock.table import Table

pytest.importorskip("urllib3")
from rowlock.remote.http import HttpClient
from rowlock.remote.repeating import MomentaryError

SIZE = 12, 16
NUM_PICTURES = 24
QUICK = {"backoff_seconds": 0.01, "connect_seconds": 30, "read_seconds": 30, "total_seconds": 60}
"""Quick to ask again, and with patience for a server that a busy machine lets wait."""


def picture(number, size=(48, 64)):
    """A JPEG whose pixels tell its number."""
    noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size[::-1]).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


PICTURES = [picture(number) for number in range(NUM_PICTURES)]


class Server(ThreadingHTTPServer):
    """Serves ``files`` by path; ``faults`` maps a path to functions of a handler, each used once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address="127.0.0.1"):
        super().__init__((address, 0), Handler)
        self.files = {f"/{number:04d}.jpg": data for number, data in enumerate(PICTURES)}
        self.faults = {}
        self.always = {}
        self.requests = []
        self.validators = "etag"
        self.hold = 0.0
        self.together = None
        self.is_over = threading.Event()
        self.num_at_a_time = self.most_at_a_time = 0
        self.lock = threading.Lock()
        self.url = f"http://{address}:{self.server_port}"

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""

    def count(self, method):
        return sum(one == method for one, _ in self.requests)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.serve()

    def do_HEAD(self):
        self.serve()

    def serve(self):
        server = self.server
        with server.lock:
            server.requests.append((self.command, self.path))
            server.num_at_a_time += 1
            server.most_at_a_time = max(server.most_at_a_time, server.num_at_a_time)
            faults = server.faults.get((self.command, self.path)) or server.faults.get(self.path) or []
            fault = server.always.get(self.path) or (faults.pop(0) if faults else None)
        try:
            if server.together is not None:
                server.together.wait(60)
            time.sleep(server.hold)
        finally:  # before the answer: who has it may ask for the next one
            with server.lock:
                server.num_at_a_time -= 1
        if not server.is_over.is_set():
            if fault is not None:
                fault(self)
            elif self.path.partition("?")[0] in server.files:
                self.send(server.files[self.path.partition("?")[0]])
            else:
                self.answer(404, b"<html>no such file</html>")

    def send(self, data, num_bytes=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) if num_bytes is None else num_bytes))
        if self.server.validators == "etag":
            self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        elif self.server.validators == "weak":
            self.send_header("ETag", f'W/"{hashlib.md5(data).hexdigest()}"')
        elif self.server.validators is not None:
            self.send_header("Last-Modified", email.utils.formatdate(self.server.validators, usegmt=True))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def status(number, **headers):
    return lambda handler: handler.answer(number, b"sorry", **headers)


def redirect(target, number=302):
    return lambda handler: handler.answer(number, Location=target)


def truncated(handler):
    data = PICTURES[0]
    handler.send(data[: len(data) // 2], num_bytes=len(data))
    handler.close_connection = True


def truncated_chunks(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"40\r\n" + PICTURES[0][:64] + b"\r\n")
    handler.close_connection = True


def whole_chunks(handler):
    data = PICTURES[int(handler.path[1:5])]
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for start in range(0, len(data), 100):
        part = data[start : start + 100]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
    handler.wfile.write(b"0\r\n\r\n")


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(bytes(1 << 16))


def trickling_headers(handler):
    handler.close_connection = True
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(600):
            handler.wfile.write(b"x")
            time.sleep(0.05)


def trickling_body(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.close_connection = True
    with contextlib.suppress(OSError):
        for _ in range(600):
            handler.wfile.write(b"x")
            time.sleep(0.05)


def reset(handler):
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def reset_within(handler):
    handler.send(PICTURES[0][:100], num_bytes=len(PICTURES[0]))
    handler.wfile.flush()
    time.sleep(0.05)
    reset(handler)


def slow(seconds):
    def wait(handler):
        if not handler.server.is_over.wait(seconds):
            handler.send(PICTURES[int(handler.path[1:5])])

    return wait


def compressed(handler):
    handler.answer(200, b"xxx", Content_Encoding="gzip")


@contextlib.contextmanager
def serving(address="127.0.0.1"):
    with Server(address) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def server():
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_thread_stays(time_limit):
    """Every test ends, and so do its threads."""
    with time_limit(200):
        yield
        deadline = time.monotonic() + 60
        while threads() and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.02)
        assert not threads()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "rowlock-remote"]


def urls(server, numbers=range(NUM_PICTURES)):
    return pd.DataFrame({"path": [f"{server.url}/{number:04d}.jpg" for number in numbers]})


@contextlib.contextmanager
def opened(server, frame=None, remote=None, **settings):
    remote = rl.Remote(f"{server.url}/", **QUICK) if remote is None else remote
    frame = urls(server) if frame is None else frame
    reader = Images("path", **{"size": SIZE, "remote": remote, **settings}).open(Table(frame), "image")
    try:
        yield reader
    finally:
        reader.close()


def gathered(reader, rows=None):
    """Return the pixels of rows (all), and what was counted."""
    rows = np.arange(len(reader._paths)) if rows is None else np.asarray(rows, np.int64)
    out = reader.spec.empty(len(rows))
    out.view(np.uint8)[...] = 0xA5
    with Meter() as meter:
        reader.gather(rows, out, None)
    return out, meter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("pictures")
    for number, data in enumerate(PICTURES):
        (found / f"{number:04d}.jpg").write_bytes(data)
    return found


@pytest.fixture(scope="module")
def truth(folder):
    frame = pd.DataFrame({"path": sorted(map(str, folder.glob("*.jpg")))})
    return gathered(Images("path", size=SIZE).open(Table(frame), "image"))[0]


def failing(reader, row=0, kind=RowError):
    with pytest.raises(kind) as caught:
        gathered(reader, [row])
    return caught.value


def of_rows(frame, remote=None, **settings):
    return Images("path", **{"size": SIZE, "remote": remote, **settings}).open(Table(frame), "image")


# what it is for


def test_pictures_from_a_server_are_those_from_the_disk_and_each_is_asked_for_once(server, truth, rng):
    with opened(server) as reader:
        rows = rng.permutation(NUM_PICTURES)
        reader.will_need(rows)
        out, meter = gathered(reader, rows)
        assert (out == truth[rows]).all()
        assert meter.read_bytes == sum(map(len, PICTURES))
        assert meter.num_retries == 0
    assert Counter(server.requests) == {("GET", f"/{number:04d}.jpg"): 1 for number in range(NUM_PICTURES)}


@pytest.mark.parametrize("num_threads", [1, 3])
def test_epochs_equal_those_of_local_files_bit_for_bit(server, folder, num_threads, time_limit):
    remote = urls(server).assign(n=np.arange(NUM_PICTURES), key=[f"k{row}" for row in range(NUM_PICTURES)])
    local = remote.assign(path=sorted(map(str, folder.glob("*.jpg"))))
    augment = rl.Augment(flip=0.5, crop=(0.5, 1.0))
    epochs = []
    for frame, allowed in ((local, None), (remote, rl.Remote(f"{server.url}/", **QUICK))):
        images = rl.Images("path", size=SIZE, remote=allowed, augment=augment)
        data = rl.Dataset(frame, {"image": images}, target=rl.Column("n"), key="key")
        engine = rl.Engine(num_threads=num_threads, prefetch=3)
        loader = data.batches(5, seed=3, engine=engine)
        epochs.append([batch for _ in range(2) for batch in loader])
        data.close()
        engine.close()
    for mine, its in zip(*epochs, strict=True):
        assert (mine.inputs["image"] == its.inputs["image"]).all()
        assert (mine.target == its.target).all()
        assert (mine.keys == its.keys).all()
    assert server.count("HEAD") == 0


def test_files_and_urls_may_stand_in_one_column(server, folder, truth):
    frame = urls(server)
    frame.loc[::2, "path"] = [str(folder / f"{number:04d}.jpg") for number in range(0, NUM_PICTURES, 2)]
    with opened(server, frame) as reader:
        reader.will_need(np.arange(NUM_PICTURES))
        assert (gathered(reader)[0] == truth).all()
    assert server.count("GET") == NUM_PICTURES // 2


def test_a_root_on_a_server_is_where_relative_paths_start(server, truth):
    server.files["/a%20%23%25/0.jpg"] = PICTURES[5]
    frame = pd.DataFrame({"path": ["0003.jpg", "a #%/0.jpg", f"{server.url}/0004.jpg"]})
    reader = of_rows(frame, root=server.url)
    assert (gathered(reader)[0] == truth[[3, 5, 4]]).all()
    reader.close()
    for wrong in ("../0003.jpg", "/0003.jpg", "http://other.example/x.jpg"):
        with pytest.raises(ConfigError, match=r"1 row \(1\).*(leave root|is not allowed|not allowed)"):
            of_rows(pd.DataFrame({"path": ["0003.jpg", wrong]}), root=server.url)


def test_several_pictures_a_row(server, truth):
    lists = [[0, 1, 2], [], [5]]
    frame = pd.DataFrame({"path": [[f"{server.url}/{number:04d}.jpg" for number in one] for one in lists]})
    with opened(server, frame, num_images=3) as reader:
        reader.will_need(np.arange(3))
        out, _ = gathered(reader)
        assert (out[0] == truth[:3]).all()
        assert not out[1].any()
        assert (out[2, 0] == truth[5]).all()
        server.files.pop("/0001.jpg")
        error = failing(reader)
        assert error.reason.startswith("picture 2 of 3: the server answers 404")
    data = rl.Dataset(frame, {"shown": rl.ImagesMask("path", num_images=3)})
    assert data.gather(np.arange(3)).inputs["shown"].tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]


def test_chunked_answers_and_queries_are_fine(server, truth):
    server.faults["/0003.jpg?size=1&x=/../y"] = [whole_chunks]
    with opened(server, pd.DataFrame({"path": [f"{server.url}/0003.jpg?size=1&x=/../y"]})) as reader:
        assert (gathered(reader)[0] == truth[3]).all()


def test_the_fingerprint_of_urls_needs_no_network(server):
    with opened(server) as reader, opened(server) as again, opened(server, urls(server, [1, 0])) as other:
        assert reader.fingerprint == again.fingerprint != other.fingerprint
    assert not server.requests


def test_digests_are_made_of_remote_pictures_and_checked(server, truth):
    frame = urls(server)
    with pytest.raises(ConfigError, match="24 rows .* hold URLs"):
        rl.hash_pictures(frame["path"])
    server.together = threading.Barrier(2)
    digests = rl.hash_pictures(frame["path"], remote=rl.Remote(f"{server.url}/", **QUICK), algorithm="sha256")
    server.together = None
    assert digests == [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in PICTURES]
    assert server.most_at_a_time > 1
    with opened(server, frame.assign(path_hash=digests), verify="hash") as reader:
        assert (gathered(reader)[0] == truth).all()
        server.files["/0003.jpg"] = PICTURES[4]
        assert "not those that were hashed" in failing(reader, 3).reason
        assert not reader._source._ahead._wanted


@pytest.mark.parametrize(("library", "url"), [("urllib3", "https://a.example/1.jpg"), ("obstore", "s3://bucket/1.jpg")])
def test_a_library_that_is_not_installed_is_missed_when_the_dataset_is_made(library, url):
    code = f"""
import sys; sys.modules[{library!r}] = None
import pandas as pd, rowlock as rl
frame = pd.DataFrame({{"path": ["a.jpg", {url!r}]}})
images = rl.Images("path", size=(8, 8), remote=rl.Remote("https", "s3"))
rl.Dataset(frame[:1], {{"image": images}})  # no URL, no library
try:
    rl.Dataset(frame, {{"image": images}})
except rl.errors.MissingDependencyError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert found.stdout == f"{found.stdout.split(' need')[0]} need {library}: pip install 'rowlock[remote]'\n"


# what is allowed


def test_urls_are_refused_where_nobody_allowed_them(server):
    frame = pd.DataFrame({"path": ["a.jpg", "https://images.example.org/1.jpg", "s3://bucket/2.jpg"]})
    with pytest.raises(ConfigError, match=r"1 row \(0\).*file:///a.jpg.*Of these, https, http, s3, gs can be read"):
        of_rows(pd.DataFrame({"path": ["file:///a.jpg"]}))
    with pytest.raises(ConfigError, match=r"2 rows \(1, 2\) of column 'path' hold URLs.*remote=rl.Remote\(\"https\"\)"):
        of_rows(frame)


ALLOWED = ("https", "http://named.example/photos/", "http://[::1]:8080/", "s3://bucket/2024-", "gs")
GOOD = [
    "https://anything.example/x.jpg?query=/../y#z",
    "HTTPS://Anything.Example:8443/x.jpg",
    "http://named.example/photos/x.jpg",
    "http://NAMED.example:80/photos/a/b.jpg",
    "http://[::1]:8080/x",
    "s3://bucket/2024-05/a b.jpg",
    "gs://any-bucket/x.jpg",
]
BAD = [
    "http://named.example/other/x.jpg",
    "http://named.example/photosx/x.jpg",
    "http://named.example:81/photos/x.jpg",
    "http://named.example/photos/../other/x.jpg",
    "http://named.example/photos/%2e%2E/other/x.jpg",
    "http://named.example/photos/..%2Fother/x.jpg",
    "http://named.example/photos/x%5c..%5cother/x.jpg",
    "http://named.example/PHOTOS/x.jpg",
    "http://named.example@evil.example/photos/x.jpg",
    "http://named.example.evil.example/photos/x.jpg",
    "https://user:secret@images.example/x.jpg",
    "https://images.example\\@evil.example/x.jpg",
    "https://images.example/a b.jpg",
    "https://images.example/\nx.jpg",
    "https:///x.jpg",
    "s3://bucket/2023-05/x.jpg",
    "s3://bucket-2/2024-05/x.jpg",
    "s3://Bucket/2024-05/x.jpg",
    "gs://any-bucket",
    "gs://any?bucket/x",
    "file:///etc/passwd",
    "ftp://images.example/x.jpg",
    "https+unix://x/y",
]


def test_what_is_allowed_is_allowed_for_columns_and_for_redirects_alike():
    remote = rl.Remote(*ALLOWED)
    reader = of_rows(pd.DataFrame({"path": GOOD}), remote)
    reader.close()
    for url in GOOD:
        assert remote.permission().refusal(url) is None, url
    for url in BAD:
        with pytest.raises(ConfigError, match=r"1 row \(1\) of column 'path' have a URL.*Nothing was asked for\. \w+"):
            of_rows(pd.DataFrame({"path": [GOOD[0], url]}), remote)
        assert remote.permission().refusal(url) is not None, url


def test_rows_with_urls_that_are_not_allowed_are_listed_for_lists_too():
    frame = pd.DataFrame({"path": [["https://a.example/1.jpg"], ["https://a.example/2.jpg", "http://b.example/3.jpg"]]})
    with pytest.raises(ConfigError, match=r"1 row \(1\) of column 'path' have a URL that is not allowed by rl.Remote"):
        of_rows(frame, rl.Remote("https"), num_images=2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (rl.Remote, "needs what is allowed"),
        (lambda: rl.Remote("ftp"), "allows schemes.*not 'ftp'"),
        (lambda: rl.Remote("images.example.org"), "beginnings of URLs"),
        (lambda: rl.Remote("https://user@images.example.org/"), "beginnings of URLs"),
        (lambda: rl.Remote(7), "not 7"),
        (lambda: rl.Remote("https", max_concurrent=0), "max_concurrent must be at least 1"),
        (lambda: rl.Remote("https", total_seconds=float("nan")), "total_seconds"),
        (lambda: rl.Remote("https", ahead_bytes="many"), "a size is"),
        (lambda: rl.Remote("https", immutable=1), "immutable must be True or False"),
        (lambda: rl.Remote("https", region=3), "region must be a text"),
        (lambda: rl.Images("path", size=SIZE, remote="https"), r'rl.Remote\("https"\).*not \'https\''),
        (lambda: rl.Images("path", size=SIZE, remote=True), "not True"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        wrong()


def test_a_remote_is_a_value_that_shows_itself():
    import pickle

    remote = rl.Remote("https", "s3://bucket/", ahead_bytes="1GiB", immutable=True)
    assert repr(remote) == "Remote('https', 's3://bucket/', ahead_bytes=1073741824, immutable=True)"
    assert pickle.loads(pickle.dumps(remote)) == remote == eval(repr(remote), {"Remote": rl.Remote})
    assert hash(remote) == hash(pickle.loads(pickle.dumps(remote)))
    with pytest.raises(AttributeError):
        remote.immutable = False
    shown = repr(rl.Images("path", size=SIZE, remote=remote, verify="hash"))
    assert shown == f"Images('path', size=(12, 16), remote={remote!r}, verify='hash')"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "100.100.100.200",
        "169.254.169.254", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:a00:1::1", "ff02::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    assert refused_address(address) is not None


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_fine(address):
    assert refused_address(address) is None


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_a_scheme_alone_reaches_no_private_server_and_not_a_byte_is_sent(scheme, host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        frame = pd.DataFrame({"path": [f"{scheme}://{host}:{listener.getsockname()[1]}/x.jpg"]})
        reader = of_rows(frame, rl.Remote(scheme, "http://127.0.0.1:1/", **QUICK))
        error = failing(reader)
        assert "is this machine; nothing was sent" in error.reason
        assert f"rl.Remote('{scheme}://{host}:{listener.getsockname()[1]}/')" in error.reason
        reader.close()
        listener.settimeout(5)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(1) == b""


def test_a_name_that_resolves_anew_each_time_gains_nothing(monkeypatch):
    """DNS rebinding: public when it is looked up first, private when it is connected to."""
    answers = iter(["8.8.8.8"])
    real = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def getaddrinfo(host, *args, **kwargs):
            return real(next(answers, "127.0.0.1") if host == "rebind.example" else host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        assert socket.getaddrinfo("rebind.example", port)[0][4][0] == "8.8.8.8"
        reader = of_rows(pd.DataFrame({"path": [f"http://rebind.example:{port}/x"]}), rl.Remote("http", **QUICK))
        assert "leads to 127.0.0.1" in failing(reader).reason
        reader.close()


def test_redirects_are_followed_to_what_is_allowed_and_nowhere_else(server, truth):
    with serving("127.0.0.2") as other:
        allowed = rl.Remote(f"{server.url}/", f"{other.url}/00", **QUICK)
        server.faults = {
            "/0000.jpg": [redirect("/0001.jpg", 301)],
            "/0001.jpg": [redirect(f"{other.url}/0002.jpg", 307)],
            "/0003.jpg": [redirect(f"{other.url}/elsewhere/x.jpg")],
            "/0004.jpg": [redirect("file:///etc/passwd")],
            "/0005.jpg": [redirect("https://127.0.0.1/0005.jpg")],
            "/0006.jpg": [redirect("http://169.254.169.254/latest/meta-data/")],
            "/0007.jpg": [status(302)],
            "/0008.jpg": [redirect(f"http://user@{other.url[7:]}/0008.jpg")],
        }
        server.always["/0009.jpg"] = redirect("/0009.jpg")
        with opened(server, remote=allowed) as reader:
            assert (gathered(reader, [0])[0] == truth[2]).all()
            for row, reason in {
                3: "is not allowed", 4: "another scheme", 5: "another scheme", 6: "is not allowed", 7: "no target",
                8: "user's name", 9: "more than 5 times",
            }.items():  # fmt: skip
                assert reason in failing(reader, row).reason
        assert [path for _, path in other.requests] == ["/0002.jpg"]


# what fails


@pytest.mark.parametrize(
    "faults",
    [
        [status(500)], [status(503), status(502), status(429)], [reset], [reset_within], [truncated],
        [truncated_chunks], [status(408), truncated, reset],
    ],
)  # fmt: skip
def test_what_passes_is_asked_again_and_counted(server, truth, faults):
    for announce in (True, False):
        server.faults["/0003.jpg"] = list(faults)
        with opened(server) as reader:
            if announce:
                reader.will_need(np.array([3]))
            out, meter = gathered(reader, [3])
            assert (out == truth[3]).all()
            assert meter.num_retries == len(faults)


def test_retries_are_in_the_statistics_of_the_loader(server, time_limit):
    for number in range(0, NUM_PICTURES, 3):
        server.faults[f"/{number:04d}.jpg"] = [status(503)]
    data = rl.Dataset(
        urls(server), {"image": rl.Images("path", size=SIZE, remote=rl.Remote(f"{server.url}/", **QUICK))}
    )
    loader = data.batches(4, engine=rl.Engine(num_threads=2, prefetch=2))
    assert sum(map(len, loader)) == NUM_PICTURES
    assert loader.stats().inputs["image"].num_retries == NUM_PICTURES // 3
    loader.close()
    data.close()


def test_a_server_that_asks_for_patience_gets_it(server, truth):
    times = []

    def busy(handler):
        times.append(time.monotonic())
        handler.answer(503, Retry_After="1")

    def well(handler):
        times.append(time.monotonic())
        handler.send(PICTURES[0])

    server.faults["/0000.jpg"] = [busy, well]
    with opened(server) as reader:
        assert (gathered(reader, [0])[0] == truth[0]).all()
        assert times[1] - times[0] >= 1
        date = email.utils.formatdate(time.time() + 1000, usegmt=True)
        for value in ("1000", date):
            server.faults["/0000.jpg"] = [status(429, Retry_After=value)]
            error = failing(reader, kind=OSError)
            assert "asked once; the next try" in str(error)
            assert "would exceed total_seconds=60" in str(error)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (status(404), "the server answers 404 (Not Found)"),
        (status(403), "403 (Forbidden)"),
        (status(410), "410 (Gone)"),
        (status(401), "401 (Unauthorized)"),
        (status(299), "299 (a status that no standard has)"),
        (truncated, "bytes of"),
        (truncated_chunks, "the transfer ended after 64 bytes, every time (asked 3 times)"),
        (endless, "does not end after"),
        (compressed, "compressed (gzip)"),
        (lambda handler: handler.send(bytes(9), num_bytes=10**9), "has 1,000,000,000 bytes, more than the 1,000,000"),
    ],
)
def test_what_is_wrong_with_a_picture_is_an_error_of_its_row_alone(server, truth, fault, reason, time_limit):
    server.always["/0005.jpg"] = fault
    remote = rl.Remote(f"{server.url}/", **{**QUICK, "num_tries": 3, "max_bytes": 10**6})
    frame = urls(server).assign(key=[f"k{row}" for row in range(NUM_PICTURES)])
    with opened(server, remote=remote) as reader:
        error = failing(reader, 5)
        assert reason in error.reason
        assert (error.row, error.path, error.stage) == (5, f"{server.url}/0005.jpg", "read")
    for prefetch in (0, 3):
        data = rl.Dataset(frame, {"image": rl.Images("path", size=SIZE, remote=remote)}, key="key")
        engine = rl.Engine(num_threads=2, prefetch=prefetch)
        loader = data.batches(8, shuffle=False, on_error="mask", max_bad=0.5, engine=engine)
        batches = list(loader)
        assert [(bad.key, bad.row) for bad in loader.bad_rows] == [("k5", 5)]
        weight = np.concatenate([batch.sample_weight for batch in batches])
        assert weight.tolist() == [float(row != 5) for row in range(NUM_PICTURES)]
        pixels = np.concatenate([batch.inputs["image"] for batch in batches])
        assert (np.delete(pixels, 5, 0) == np.delete(truth, 5, 0)).all()
        assert not pixels[5].any()
        engine.close()
        data.close()


def test_rows_beside_a_bad_one_are_not_fetched_again(server):
    server.files.pop("/0005.jpg")
    data = rl.Dataset(
        urls(server), {"image": rl.Images("path", size=SIZE, remote=rl.Remote(f"{server.url}/", **QUICK))}
    )
    loader = data.batches(8, shuffle=False, on_error="skip", max_bad=0.5, engine=rl.Engine(num_threads=1, prefetch=2))
    assert len(next(iter(loader))) == 7  # the end of an epoch would begin the next one
    counts = Counter(path for _, path in server.requests)
    assert {path: count for path, count in counts.items() if count > 1 and path != "/0005.jpg"} == {}
    loader.close()
    data.close()


@pytest.mark.parametrize(
    "fault", [status(500), status(429), reset, reset_within, slow(100), trickling_headers, trickling_body]
)
def test_a_network_that_fails_is_never_a_bad_row(server, fault, time_limit):
    server.always["/0002.jpg"] = fault
    settings = {**QUICK, "num_tries": 2, "read_seconds": 3, "total_seconds": 8}
    images = rl.Images("path", size=SIZE, remote=rl.Remote(f"{server.url}/", **settings))
    data = rl.Dataset(urls(server), {"image": images})
    engine = rl.Engine(num_threads=2, prefetch=2)
    loader = data.batches(4, shuffle=False, on_error="mask", max_bad=1.0, engine=engine)
    with pytest.raises(OSError, match="asked") as caught:
        next(iter(loader))
    assert "0002.jpg" in str(caught.value) + "".join(caught.value.__notes__)
    assert not loader.bad_rows
    server.always.clear()  # the network is back
    assert len(next(iter(loader))) == 4
    loader.close()
    engine.close()
    data.close()


def test_a_server_that_is_not_there_and_a_name_that_nobody_knows(monkeypatch):
    real = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        if host == "no-such-host.invalid":  # how long a resolver without a network takes is not ours
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with socket.socket() as nobody:  # bound, so that the port stays free of others, and not listening
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        frame = pd.DataFrame({"path": [f"{address}x.jpg", "http://no-such-host.invalid/x.jpg"]})
        remote = rl.Remote(address, "http://no-such-host.invalid/", **{**QUICK, "num_tries": 2})
        reader = of_rows(frame, remote)
        for row in (0, 1):
            error = failing(reader, row, OSError)
            assert error.num_retries == 1
            assert "(asked 2 times)" in str(error)
            assert error.filename == frame["path"][row]
        reader.close()


def test_what_is_no_picture_is_said_to_be_none(server):
    server.files["/0000.jpg"] = b"<!DOCTYPE html><title>Sorry</title>"
    with opened(server) as reader:
        error = failing(reader)
        assert isinstance(error, DecodeError)
        assert "an HTML page" in error.reason


# reading ahead


def test_fetches_overlap_within_the_limit(server, truth):
    server.together = threading.Barrier(2)  # an answer comes when another request is there, too
    with opened(server, remote=rl.Remote(f"{server.url}/", max_concurrent=4, **QUICK)) as reader:
        reader.will_need(np.arange(NUM_PICTURES))
        out, _ = gathered(reader)
        assert (out == truth).all()
        assert 2 <= server.most_at_a_time <= 4
        server.most_at_a_time = 0
        gathered(reader, np.arange(8))  # never announced
        assert 2 <= server.most_at_a_time <= 4


def test_what_waits_stays_within_the_budget_and_everything_arrives(server, truth, rng):
    budget = 4 * max(map(len, PICTURES))
    with opened(server, remote=rl.Remote(f"{server.url}/", max_concurrent=3, ahead_bytes=budget, **QUICK)) as reader:
        rows = rng.permutation(NUM_PICTURES)
        reader.will_need(rows)
        ahead = reader._source._ahead
        while not ahead._waiting_bytes:  # the time limit ends it
            time.sleep(0.01)
        time.sleep(0.3)
        assert 0 < ahead._waiting_bytes <= budget
        assert server.count("GET") < NUM_PICTURES
        for start in range(0, NUM_PICTURES, 4):
            assert (gathered(reader, rows[start : start + 4])[0] == truth[rows[start : start + 4]]).all()
        assert reader._source._ahead.peak_bytes <= budget + 4 * max(map(len, PICTURES))
        assert reader._source._ahead._waiting_bytes == 0
        assert not reader._source._ahead._wanted


def test_what_nobody_takes_makes_room_for_what_somebody_waits_for(server, truth):
    budget = 6 * max(map(len, PICTURES))
    with opened(server, remote=rl.Remote(f"{server.url}/", max_concurrent=2, ahead_bytes=budget, **QUICK)) as reader:
        for first in (0, 4, 8):  # epochs that are given up
            reader.will_need(np.arange(first, first + 4))
        time.sleep(0.3)
        for rows in (np.arange(16, 20), np.arange(20, 24), np.arange(4)):
            reader.will_need(rows)
            assert (gathered(reader, rows)[0] == truth[rows]).all()
        assert reader._source._ahead._waiting_bytes <= budget


def test_a_picture_that_two_batches_want_is_fetched_once(server, truth):
    with opened(server) as reader:
        reader.will_need(np.array([1, 2, 2]))
        reader.will_need(np.array([2, 3]))
        assert (gathered(reader, [1, 2, 2])[0] == truth[[1, 2, 2]]).all()
        assert (gathered(reader, [2, 3])[0] == truth[[2, 3]]).all()
        assert server.count("GET") == 3
        assert not reader._source._ahead._wanted
        gathered(reader, [2])
        assert server.count("GET") == 4


def test_a_slow_picture_holds_up_nobody_beyond_its_batch(server, truth):
    release = threading.Event()

    def stuck(handler):
        release.wait(60)
        handler.send(PICTURES[0])

    server.faults["/0000.jpg"] = [stuck]
    with opened(server, remote=rl.Remote(f"{server.url}/", max_concurrent=2, **QUICK)) as reader:
        reader.will_need(np.arange(4))
        reader.will_need(np.arange(4, 12))
        assert (gathered(reader, np.arange(4, 12))[0] == truth[4:12]).all()
        release.set()
        assert (gathered(reader, np.arange(4))[0] == truth[:4]).all()


def test_what_was_fetched_too_long_ago_is_asked_for_anew(server, truth):
    with opened(server) as reader:
        for num_seconds, number in ((500, 0), (700, 1)):
            reader.will_need(np.array([0]))
            found = reader._source._ahead.wait(f"{server.url}/0000.jpg")
            server.files["/0000.jpg"] = PICTURES[1]
            found.done_at -= num_seconds
            assert (gathered(reader, [0])[0] == truth[number]).all()
            server.files["/0000.jpg"] = PICTURES[0]


@pytest.mark.parametrize("cached", [False, True])
def test_many_threads_many_faults_little_room_and_never_a_wrong_picture(server, truth, tmp_path, cached):
    """Rows that tell who they are, through everything at a time."""
    gone = {5, 13}
    for number in gone:
        server.files.pop(f"/{number:04d}.jpg")
    chance = np.random.default_rng(1)
    for number in range(NUM_PICTURES):
        kinds = [status(503), reset, truncated, None, None, None, None]
        server.faults[f"/{number:04d}.jpg"] = [kinds[kind] for kind in chance.integers(0, 7, 30)]
    server.hold = 0.001
    settings = {**QUICK, "backoff_seconds": 0.001, "num_tries": 30}
    budget = 3 * max(map(len, PICTURES))
    remote = rl.Remote(f"{server.url}/", max_concurrent=3, ahead_bytes=budget, **settings)
    with opened(server, remote=remote, cache=tmp_path / "cache" if cached else None) as reader:

        def work(seed):
            rng = np.random.default_rng(seed)
            for _ in range(12):
                rows = rng.integers(0, NUM_PICTURES, rng.integers(1, 8))
                for announced in (rows, rng.integers(0, NUM_PICTURES, 5)):
                    if rng.random() < 0.5:
                        reader.will_need(announced)
                if gone & set(rows.tolist()):
                    with pytest.raises(RowError, match="404"):
                        gathered(reader, rows)
                else:
                    assert (gathered(reader, rows)[0] == truth[rows]).all()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        assert server.most_at_a_time <= 3
        ahead = reader._source._ahead
        with ahead._lock:  # what was announced last may be on its way
            assert ahead._waiting_bytes <= budget + 6 * 8 * max(map(len, PICTURES))
            held = sum(wanted.num_bytes for wanted in ahead._wanted.values() if wanted.done.is_set())
            assert held == ahead._waiting_bytes


# the cache of pixels


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.mark.parametrize("validators", ["etag", 1.6e9])
def test_the_second_epoch_asks_for_the_state_of_pictures_and_for_none_of_them(server, truth, cache, validators):
    server.validators = validators
    with opened(server, cache=cache) as reader:
        for num_gets in (NUM_PICTURES, 0):
            server.requests.clear()
            reader.will_need(np.arange(NUM_PICTURES))
            out, meter = gathered(reader)
            assert (out == truth).all()
            assert (server.count("HEAD"), server.count("GET")) == (NUM_PICTURES, num_gets)
            assert meter.num_cache_hits == NUM_PICTURES - num_gets
    server.requests.clear()
    with opened(server, cache=cache) as reader:  # not announced, another process's
        assert (gathered(reader)[0] == truth).all()
        assert (server.count("HEAD"), server.count("GET")) == (NUM_PICTURES, 0)


def test_immutable_pictures_that_are_cached_touch_no_network(server, truth, cache):
    remote = rl.Remote(f"{server.url}/", immutable=True, **QUICK)
    server.validators = None
    with opened(server, remote=remote, cache=cache) as reader:
        reader.will_need(np.arange(NUM_PICTURES))
        assert (gathered(reader)[0] == truth).all()
        assert (server.count("HEAD"), server.count("GET")) == (0, NUM_PICTURES)
        server.requests.clear()
        reader.will_need(np.arange(NUM_PICTURES))
        assert (gathered(reader)[0] == truth).all()
    assert not server.requests


@pytest.mark.parametrize("announce", [True, False])
def test_a_changed_picture_is_decoded_anew(server, truth, cache, announce):
    with opened(server, cache=cache) as reader:
        gathered(reader)
        server.files["/0003.jpg"] = PICTURES[4]
        if announce:
            reader.will_need(np.arange(NUM_PICTURES))
        for num_misses in (1, 0):
            out, meter = gathered(reader)
            assert (out[3] == truth[4]).all()
            assert (np.delete(out, 3, 0) == np.delete(truth, 3, 0)).all()
            assert meter.num_cache_misses == num_misses


@pytest.mark.parametrize("validators", [None, "weak", "now"])
def test_without_a_proof_of_equal_bytes_nothing_is_cached(server, truth, cache, validators):
    server.validators = time.time() + 100 if validators == "now" else validators
    with opened(server, cache=cache) as reader:
        for _ in range(2):
            out, meter = gathered(reader)
            assert (out == truth).all()
            assert meter.num_cache_hits == 0
    assert not list(cache.glob("*.pixels"))


def test_a_picture_that_changes_between_question_and_answer_is_not_cached_as_the_old_one(server, truth, cache):
    def changed_meanwhile(handler):
        handler.send(PICTURES[7])

    server.faults["GET", "/0003.jpg"] = [changed_meanwhile]
    with opened(server, cache=cache) as reader:
        assert (gathered(reader, [3])[0] == truth[7]).all()
        assert (gathered(reader, [3])[0] == truth[3]).all()
        assert (gathered(reader, [3])[0] == truth[3]).all()


@pytest.mark.parametrize("number", [403, 404, 405, 501])
def test_a_server_that_takes_no_such_question_is_asked_for_the_picture(server, truth, cache, number):
    server.faults["HEAD", "/0003.jpg"] = [status(number)]
    with opened(server, cache=cache) as reader:
        assert (gathered(reader, [3])[0] == truth[3]).all()


def test_a_picture_that_is_gone_is_an_error_although_its_pixels_are_there(server, cache):
    with opened(server, cache=cache) as reader:
        gathered(reader)
        server.files.pop("/0003.jpg")
        assert "404" in failing(reader, 3).reason


def test_a_damaged_entry_is_fetched_and_decoded_again(server, truth, cache):
    with opened(server, cache=cache) as reader:
        gathered(reader)
        (path,) = cache.glob("*.pixels")
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
        for _ in range(2):
            reader.will_need(np.arange(NUM_PICTURES))
            assert (gathered(reader)[0] == truth).all()
            assert not reader._source._ahead._wanted


# endings


def test_closing_ends_what_is_under_way_and_leaves_no_thread(server):
    server.always["/0000.jpg"] = slow(200)
    settings = {**QUICK, "read_seconds": 200, "total_seconds": 200}
    with opened(server, remote=rl.Remote(f"{server.url}/", **settings)) as reader:
        errors = []

        def gather():
            try:
                gathered(reader, [0])
            except LoaderClosedError as error:
                errors.append(error)

        consumer = threading.Thread(target=gather)
        consumer.start()
        while not server.requests:
            time.sleep(0.01)
        reader.close()
        consumer.join(60)
        assert len(errors) == 1
        reader.close()
        with pytest.raises(LoaderClosedError):
            gathered(reader, [1])


@pytest.mark.parametrize("moment", ["before", "not connected yet"])
def test_a_request_that_begins_as_all_are_ended_is_not_waited_for(server, moment, time_limit):
    server.always["/0000.jpg"] = slow(200)
    remote = rl.Remote(f"{server.url}/", read_seconds=200, total_seconds=200)
    client = HttpClient(remote, remote.permission(), 1 << 20)
    if moment == "before":
        client.end()
    else:
        began = client._requests.began

        def begins_and_is_ended(connection):
            began(connection)
            client.end()

        client._requests.began = begins_and_is_ended
    with time_limit(60), pytest.raises(MomentaryError):
        client.content(f"{server.url}/0000.jpg", time.monotonic() + 200)


def test_a_dataset_that_is_forgotten_takes_its_threads_along(server):
    data = rl.Dataset(
        urls(server), {"image": rl.Images("path", size=SIZE, remote=rl.Remote(f"{server.url}/", **QUICK))}
    )
    engine = rl.Engine(num_threads=2)
    iterator = iter(data.batches(4, engine=engine))
    next(iterator)
    reader = weakref.ref(data._slots[0].reader)
    assert threads()
    engine.close()
    del data, iterator, engine
    deadline = time.monotonic() + 60
    while reader() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    assert reader() is None


def run_program(what, server):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", __file__, what, server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_ctrl_c_ends_a_program_that_waits_for_a_server(server):
    server.always = {f"/{number:04d}.jpg": slow(200) for number in range(8, NUM_PICTURES)}
    with run_program("hang", server) as program:
        assert program.stdout.readline() == "first\n"
        while not any(int(path[1:5]) >= 8 for _, path in list(server.requests)):
            time.sleep(0.01)
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
        out, _ = program.communicate(timeout=110)
    assert "KeyboardInterrupt" in out
    assert program.returncode == -signal.SIGINT


def test_a_program_that_ends_while_pictures_are_fetched_just_ends(server):
    server.always = {f"/{number:04d}.jpg": slow(200) for number in range(8, NUM_PICTURES)}
    with run_program("leave", server) as program:
        out, _ = program.communicate(timeout=110)
    assert (out, program.returncode) == ("first\n", 0)


def test_a_forked_child_has_connections_of_its_own_and_leaves_those_of_its_parent_alone(server):
    with run_program("fork", server) as program:
        out, _ = program.communicate(timeout=110)
    assert out.splitlines() == ["child 24", "exit 0", "parent 24"]


def tell(*words):
    print(*words, flush=True)  # noqa: T201 - read by the test


def program(what, url):
    frame = pd.DataFrame({"path": [f"{url}/{number:04d}.jpg" for number in range(NUM_PICTURES)]})
    settings = {"read_seconds": 200, "total_seconds": 200}
    data = rl.Dataset(frame, {"image": rl.Images("path", size=SIZE, remote=rl.Remote(f"{url}/", **settings))})
    if what in ("hang", "leave"):
        loader = iter(data.batches(8, shuffle=False))
        next(loader)
        tell("first")
        if what == "hang":
            next(loader)
        return
    expected = data.gather(np.arange(NUM_PICTURES)).inputs["image"]
    child = os.fork()
    if child == 0:
        found = data.gather(np.arange(NUM_PICTURES)).inputs["image"]
        tell("child", len(found) if (found == expected).all() else "wrong")
        sys.exit(0)
    tell("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    found = data.gather(np.arange(NUM_PICTURES)).inputs["image"]
    tell("parent", len(found) if (found == expected).all() else "wrong")


if __name__ == "__main__":
    program(*sys.argv[1:])
