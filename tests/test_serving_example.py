"""The server of examples/serving, as it runs: a process that answers on a port."""

import http.client
import importlib.util
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import skpadim
from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import make_inspection_images

FOLDER = Path(__file__).parents[1] / "examples" / "serving"


def import_file(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


load_test = import_file(FOLDER / "load_test.py")


@pytest.fixture(scope="module")
def detector(parts):
    return PaDiM(embedder=PatchEmbedder(image_size=96, engine="torch")).fit(parts.images[:25])


@pytest.fixture(scope="module")
def model(detector, tmp_path_factory):
    return skpadim.save(detector, tmp_path_factory.mktemp("model") / "flange.skpadim")


@pytest.fixture(scope="module")
def port(model):
    server, port = load_test.start(model)
    yield port
    assert server.poll() is None  # whatever it was sent
    server.terminate()
    assert server.wait(120) in (0, -signal.SIGTERM)


def encoded(image, file_format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, file_format, **options)
    return file.getvalue()


def ask(port, body=b"", content_type="image/png", path="/predict", method="POST"):
    """Return the status and what the JSON says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {} if content_type is None else {"Content-Type": content_type}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("JPEG", {"quality": 100})])
def test_an_answer_is_that_of_the_detector(port, detector, parts, tmp_path, file_format, options):
    decisions = set()
    for image in parts.images[25::3]:
        path = tmp_path / "part"
        path.write_bytes(encoded(image, file_format, **options))
        status, answer = ask(port, path.read_bytes(), f"image/{file_format.lower()}")
        assert status == 200
        assert answer.keys() == {"decision", "score", "threshold"}
        assert answer["score"] == pytest.approx(detector.score_samples([path])[0], rel=1e-5)
        assert answer["threshold"] == detector.offset_
        assert answer["decision"] == {1: "good", -1: "defective"}[detector.predict([path])[0]]
        decisions.add(answer["decision"])
    assert decisions == {"good", "defective"}


def test_clients_at_a_time_get_what_one_alone_gets(port, parts):
    different = [encoded(image) for image in parts.images[::3]]
    bodies = different * 4
    alone = [ask(port, body) for body in different] * 4
    with ThreadPoolExecutor(8) as clients:
        together = list(clients.map(lambda body: ask(port, body), bodies))
    assert together == alone


@pytest.mark.filterwarnings("ignore:.*than the training images:UserWarning")
def test_no_more_pictures_are_decoded_at_once_than_the_memory_is_for(detector, monkeypatch):
    app = import_file(FOLDER / "app.py")
    decode, inside, most = app.decode, set(), []
    together = threading.Barrier(app.MAX_PICTURES)

    def watched(body, file_format):
        inside.add(threading.get_ident())
        together.wait(120)  # as many as may be there, and all the others at the door
        most.append(len(inside))
        images = decode(body, file_format)
        inside.remove(threading.get_ident())
        return images

    monkeypatch.setattr(app, "decode", watched)
    app.app.state.detector = detector
    request = SimpleNamespace(app=app.app, headers={"Content-Type": "image/png"})
    n_requests = 3 * app.MAX_PICTURES
    with ThreadPoolExecutor(n_requests) as clients:
        answers = list(clients.map(app.predict, [request] * n_requests, [PNG] * n_requests))
    assert {answer["decision"] for answer in answers} <= {"good", "defective"}
    assert len(most) == n_requests
    assert max(most) == app.MAX_PICTURES


def test_health_tells_the_model(port, detector):
    answer = {"images": detector.n_samples_seen_, "threshold": detector.offset_}
    assert ask(port, path="/health", method="GET", content_type=None) == (200, answer)


def png_that_claims(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = b"IEND"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, b"IDAT" + zlib.compress(bytes(100)), end)
    )


PNG = encoded(make_inspection_images(1, 0, image_size=96, random_state=1).images[0])


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        ({"body": b""}, 422, "0 bytes are no PNG"),
        ({"body": b"no picture at all"}, 422, "17 bytes are no PNG"),
        ({"body": PNG[: len(PNG) // 2]}, 422, "or a damaged one"),
        ({"body": PNG[:-40] + bytes(40)}, 422, "or a damaged one"),
        ({"body": png_that_claims(0, 5)}, 422, "or a damaged one"),
        ({"body": PNG, "content_type": "image/jpeg"}, 422, "are no JPEG"),
        ({"body": PNG, "content_type": "text/plain"}, 415, "Content-Type is 'text/plain'"),
        ({"body": PNG, "content_type": None}, 415, "Content-Type is None"),
        ({"body": bytes(20 * 2**20 + 1)}, 413, "more than 20971520 bytes"),
        ({"body": iter([bytes(2**20)] * 30)}, 413, "more than 20971520 bytes"),
        ({"body": png_that_claims(6_000, 5_000)}, 413, "6000 x 5000 pixels"),
        ({"body": png_that_claims(10**6, 10**6)}, 413, "exceeds limit"),
        ({"body": PNG, "path": "/predict/1"}, 404, "Not Found"),
        ({"body": PNG, "path": "/predict", "method": "GET"}, 405, "Method Not Allowed"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(port, request_, status, reason):
    answered, answer = ask(port, **request_)
    assert answered == status
    assert reason in answer["detail"]
    assert ask(port, PNG)[0] == 200


@pytest.mark.parametrize(
    "sent", [b"\x00\xff\r\n\r\n", b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_http_is_refused(port, sent):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(sent)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_disturbs_nobody(port):
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n" + PNG[:100])
    assert ask(port, PNG)[0] == 200


@pytest.mark.slow
def test_a_file_with_a_bad_byte_starts_no_server(model, tmp_path):
    content = bytearray(model.read_bytes())
    content[-100] ^= 1
    damaged = tmp_path / "damaged.skpadim"
    damaged.write_bytes(content)
    log = tmp_path / "log"
    with log.open("w") as file, pytest.raises(RuntimeError, match="ended with status 3"):
        load_test.start(damaged, stderr=file)
    assert "it is damaged: its content has another checksum" in log.read_text()


def test_no_file_starts_no_server(tmp_path):
    log = tmp_path / "log"
    with log.open("w") as file, pytest.raises(RuntimeError, match="ended with status 3"):
        load_test.start("", stderr=file)
    assert "SKPADIM_MODEL must name a file" in log.read_text()


@pytest.mark.slow
def test_sigterm_ends_the_server_when_it_has_answered(model, tmp_path):
    """And the load test, which starts one, ends it."""
    log = tmp_path / "log"
    with log.open("w") as file:
        server, port = load_test.start(model, stderr=file)
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        connection.sendall(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(PNG))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # now it is at the request
        server.send_signal(signal.SIGTERM)
        connection.sendall(PNG)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    # By the signal itself, once all is done.
    assert server.wait(120) in (0, -signal.SIGTERM)
    assert log.read_text() == ""


@pytest.mark.slow
def test_the_load_test_measures(model, parts, tmp_path):
    picture = tmp_path / "part.png"
    picture.write_bytes(encoded(parts.images[0]))
    command = [sys.executable, FOLDER / "load_test.py", model, picture, "--requests", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, start, end = done.stdout.splitlines()
    assert head.split() == ["requests", "requests/s", "p50", "ms", "p99", "ms", "RSS", "MB"]
    assert start.split()[0] == "0"
    n_requests, rate, p50, p99, rss = map(float, end.split())
    assert n_requests == 20
    # Half of them took p50 or more, and four clients shared that time; what is printed is rounded.
    assert rate * p50 / 1000 < 1.1 * 4 * 20 / 10
    assert 0 < p50 <= p99
    assert rss > 20  # megabytes, which a process that has imported NumPy has
