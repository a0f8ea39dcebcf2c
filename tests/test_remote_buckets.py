"""Pictures from buckets, S3's and Google's, by a server on loopback that speaks the protocol of S3."""

from __future__ import annotations

import gc
import io
import logging
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import rowlock as rl
from rowlock.errors import RowError
from rowlock.inputs.images import Images
from rowlock.meter import Meter
from rowlock.table import Table

obstore = pytest.importorskip("obstore")

SIZE = 12, 16
NUM_PICTURES = 12
QUICK = {"backoff_seconds": 0.01, "connect_seconds": 30, "read_seconds": 30, "total_seconds": 60}
FORK = """
import os, sys, numpy as np, pandas as pd, rowlock as rl
frame = pd.DataFrame({"path": ["s3://photos/0000.jpg"]})
remote = rl.Remote("s3", endpoint=sys.argv[1], region="us-east-1", num_tries=2)
data = rl.Dataset(frame, {"image": rl.Images("path", size=(12, 16), remote=remote)})
data.gather(np.arange(1))
child = os.fork()
if child == 0:
    try:
        data.gather(np.arange(1))
    except rl.errors.RowlockError as error:
        print(error, flush=True)
        os._exit(3)
print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def picture(number):
    noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((64, 48)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


PICTURES = [picture(number) for number in range(NUM_PICTURES)]


class Log(logging.Handler):
    """What a server was asked for: "GET /photos/0000.jpg"."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def emit(self, record):
        text = record.getMessage()
        self.asked.append(text.partition('"')[2] if '"' in text else text)

    def count(self, method):
        return sum(one.startswith((method, f"\x1b[33m{method}")) for one in self.asked)


@pytest.fixture(scope="module")
def s3():
    """An S3 server that holds the pictures in the bucket ``photos``; yields its address, and what it was asked for."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    log = Log()
    logger = logging.getLogger("werkzeug")
    before = logger.level, logger.propagate
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}", log
    finally:
        server.stop()
        logger.removeHandler(log)
        logger.level, logger.propagate = before


@pytest.fixture(autouse=True)
def _credentials(monkeypatch, time_limit):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with time_limit(250):
        yield
        deadline = time.monotonic() + 60
        while threads() and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.02)
        assert not threads()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "rowlock-remote"]


@pytest.fixture
def bucket(s3):
    """The server's address, and what it was asked for since the pictures were put there."""
    import boto3

    address, log = s3
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
    client.create_bucket(Bucket="photos")
    for number, data in enumerate(PICTURES):
        client.put_object(Bucket="photos", Key=f"{number:04d}.jpg", Body=data)
    client.put_object(Bucket="photos", Key="2024/a b#c%20d?é.jpg", Body=PICTURES[7])
    log.asked.clear()
    yield client, address, log
    client.close()


def opened(paths, *allowed, endpoint, root=None, cache=None, **options):
    remote = rl.Remote(*allowed, endpoint=endpoint, **{**QUICK, "region": "us-east-1", **options})
    frame = pd.DataFrame({"path": paths})
    return Images("path", size=SIZE, remote=remote, root=root, cache=cache).open(Table(frame), "image")


def gathered(reader, rows=None):
    rows = np.arange(len(reader._paths)) if rows is None else np.asarray(rows, np.int64)
    out = reader.spec.empty(len(rows))
    with Meter() as meter:
        reader.gather(rows, out, None)
    return out, meter


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, data in enumerate(PICTURES):
        (folder / f"{number:04d}.jpg").write_bytes(data)
    frame = pd.DataFrame({"path": sorted(map(str, folder.glob("*.jpg")))})
    return gathered(Images("path", size=SIZE).open(Table(frame), "image"))[0]


KEYS = [f"s3://photos/{number:04d}.jpg" for number in range(NUM_PICTURES)]


def test_pictures_from_a_bucket_are_those_from_the_disk_and_each_is_asked_for_once(bucket, truth, rng):
    _, address, log = bucket
    reader = opened(KEYS, "s3://photos/", endpoint=address)
    rows = rng.permutation(NUM_PICTURES)
    reader.will_need(rows)
    out, meter = gathered(reader, rows)
    assert (out == truth[rows]).all()
    assert meter.read_bytes == sum(map(len, PICTURES))
    assert (log.count("GET"), log.count("HEAD")) == (NUM_PICTURES, 0)
    reader.close()


def test_a_bucket_may_be_the_root_and_keys_may_have_any_letters(bucket, truth):
    _, address, _ = bucket
    paths = ["0003.jpg", "2024/a b#c%20d?é.jpg", "s3://photos/2024/a b#c%20d?é.jpg"]
    for root in ("s3://photos", "s3://photos/"):
        for count in (2, 3):  # relative ones alone take the settings of `remote`, too
            reader = opened(paths[:count], "s3://photos/2024/", endpoint=address, root=root)
            assert (gathered(reader)[0] == truth[[3, 7, 7][:count]]).all()
            reader.close()


def test_epochs_through_a_loader_equal_local_ones(bucket, truth):
    _, address, _ = bucket
    remote = rl.Remote("s3", endpoint=address, region="us-east-1", **QUICK)
    frame = pd.DataFrame({"path": KEYS, "n": np.arange(NUM_PICTURES)})
    data = rl.Dataset(frame, {"image": rl.Images("path", size=SIZE, remote=remote)}, target=rl.Column("n"))
    with rl.Engine(num_threads=2, prefetch=2) as engine:
        loader = data.batches(5, engine=engine)
        for _ in range(2):
            for batch in loader:
                assert (batch.inputs["image"] == truth[batch.target.astype(int)]).all()
    data.close()


@pytest.mark.parametrize("immutable", [False, True])
def test_the_second_epoch_comes_from_the_cache(bucket, truth, tmp_path, immutable):
    client, address, log = bucket
    reader = opened(KEYS, "s3", endpoint=address, cache=tmp_path / "cache", immutable=immutable)
    for num_gets in (NUM_PICTURES, 0):
        log.asked.clear()
        reader.will_need(np.arange(NUM_PICTURES))
        out, meter = gathered(reader)
        assert (out == truth).all()
        assert (log.count("GET"), log.count("HEAD")) == (num_gets, 0 if immutable else NUM_PICTURES)
        assert meter.num_cache_misses == num_gets
    client.put_object(Bucket="photos", Key="0003.jpg", Body=PICTURES[4])
    assert (gathered(reader)[0][3] == truth[3 if immutable else 4]).all()
    reader.close()


def test_what_is_wrong_with_an_object_is_an_error_of_its_row(bucket):
    _, address, _ = bucket
    paths = ["s3://photos/none.jpg", "s3://no-such-bucket/x.jpg", "s3://photos/a//b.jpg", "s3://photos/0000.jpg"]
    reader = opened(paths, "s3", endpoint=address, max_bytes=100)
    reasons = ["404", "404", "empty path segment", "bytes, more than the 100 that are allowed; it was not read"]
    for row, reason in enumerate(reasons):
        with pytest.raises(RowError) as caught:
            gathered(reader, [row])
        assert reason in caught.value.reason
        assert "\n" not in caught.value.reason
        assert caught.value.path == paths[row]
    reader.close()


def test_a_server_that_is_not_there_is_never_a_bad_row(unused_port):
    reader = opened(KEYS, "s3", endpoint=f"http://127.0.0.1:{unused_port}", num_tries=3)
    with pytest.raises(OSError, match=r"\(asked 3 times\).*s3://photos/0000.jpg"):
        gathered(reader, [0])
    reader.close()


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as nobody:  # bound, so that the port stays free of others, and not listening
        nobody.bind(("127.0.0.1", 0))
        yield nobody.getsockname()[1]


def test_a_forked_child_is_told_and_does_not_hang(bucket):
    _, address, _ = bucket
    found = subprocess.run(
        [sys.executable, "-c", FORK, address], capture_output=True, text=True, timeout=240, check=False
    )
    assert "before this process was forked" in found.stdout, found.stderr
    assert found.stdout.splitlines()[-1] == "exit 3"


def test_pictures_from_google_cloud_storage_by_the_protocol_that_it_shares_with_s3(bucket, truth, tmp_path):
    """Its XML interface reads objects as S3 does. There is no server of Google's own to test against."""
    client, address, log = bucket
    for number in range(NUM_PICTURES):
        client.put_object_acl(Bucket="photos", Key=f"{number:04d}.jpg", ACL="public-read")
    paths = [key.replace("s3:", "gs:") for key in KEYS]
    reader = opened([*paths, "gs://photos/none.jpg"], "gs", endpoint=address, anonymous=True, cache=tmp_path / "cache")
    for num_gets in (NUM_PICTURES, 0):
        log.asked.clear()
        reader.will_need(np.arange(NUM_PICTURES))
        assert (gathered(reader, np.arange(NUM_PICTURES))[0] == truth).all()
        assert (log.count("GET"), log.count("HEAD")) == (num_gets, NUM_PICTURES)
    with pytest.raises(RowError, match="403|404"):
        gathered(reader, [NUM_PICTURES])
    reader.close()
