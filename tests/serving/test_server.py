"""The development server: versions that come and go, limits, and clients that mean no good."""

import datetime
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.config import ConnectionSettings, ServerSettings
from kits_tf.serving import messages, tensors
from kits_tf.serving.connection import Connection
from kits_tf.serving.remote_model import Client
from kits_tf.serving.server import model_folder
from kits_tf.serving.server.server import Server

SCAN = {"hu": np.zeros((3, 3, 3), np.int16), "affine": np.eye(4, dtype=np.float32)}


@pytest.fixture
def make_server(fake_dir: Path) -> Iterator:
    """Returns a function that starts a server with some settings; all are stopped at the end."""
    started = []

    def make(**settings: object) -> Server:
        defaults = {"export_dir": str(fake_dir), "grpc_port": 0, "rest_port": 0, "poll_s": 0.1}
        server = Server(ServerSettings(**defaults | settings))
        server.start()
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def server(fake_server: Server) -> Server:
    """Here all but the command is asked of a model that computes nothing."""
    return fake_server


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120  # a busy machine takes half a minute to import TensorFlow
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def waiting(server: Server) -> float:
    return server.service.metrics.waiting.collect()[0].samples[0].value


def predict_call(server: Server) -> tuple[grpc.Channel, grpc.UnaryUnaryMultiCallable]:
    channel = grpc.insecure_channel(server.grpc_address)
    return channel, channel.unary_unary(messages.PREDICT)


def request_of(signature: str = "serving_default", **inputs: np.ndarray) -> bytes:
    request = messages.PredictRequest(model_spec={"name": "kits", "signature_name": signature})
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tensors.to_proto(array))
    return request.SerializeToString()


def refused(server: Server, content: bytes) -> tuple[str, str]:
    channel, call = predict_call(server)
    with channel, pytest.raises(grpc.RpcError) as error:
        call(content, timeout=20)
    return error.value.code().name, error.value.details()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x01\x02", "expected a message tensorflow.serving.PredictRequest, got something else"),
        (request_of(**SCAN)[:40], "expected a message tensorflow.serving.PredictRequest, got something else"),
        (request_of(), "expected inputs affine, hu, got none"),
        (request_of(hu=SCAN["hu"]), "expected inputs affine, hu, got hu"),
        (request_of(**SCAN, extra=np.zeros(1, np.int16)), "expected inputs affine, hu, got affine, extra, hu"),
        (request_of(**SCAN | {"hu": np.zeros((3, 3, 3), np.float32)}), "hu: expected int16, got float32"),
        (request_of(**SCAN | {"hu": np.zeros((3, 3), np.int16)}), "hu: expected shape (None, None, None), got [3, 3]"),
        (request_of(**SCAN | {"affine": np.eye(3, dtype=np.float32)}), "affine: expected shape (4, 4), got [3, 3]"),
        (request_of("x", **SCAN), "expected a signature of serving_default, probabilities, metadata, got 'x'"),
        (
            request_of("probabilities", hu=np.zeros((1, 4, 4, 4), np.int16)),
            "hu: expected windows, got [1 4 4 4]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "request",  # the bytes of a map have any order
)  # fmt: skip
def test_requests_that_do_not_fit_are_refused(content: bytes, message: str, server: Server) -> None:
    assert refused(server, content) == ("INVALID_ARGUMENT", message)


def test_a_billion_claimed_voxels_cost_nothing(server: Server) -> None:
    request = messages.PredictRequest.FromString(request_of(**SCAN))
    claim = messages.TensorProto(dtype=5, tensor_shape={"dim": [{"size": 10**4}] * 3}, int_val=[1])
    request.inputs["hu"].CopyFrom(claim)
    code, text = refused(server, request.SerializeToString())
    assert code == "INVALID_ARGUMENT" and text.startswith("hu: expected 300000000 values at most, got shape [10000, ")
    unknown = messages.PredictRequest.FromString(request_of(**SCAN))
    unknown.output_filter.append("hearts")
    assert refused(server, unknown.SerializeToString())[1].startswith("expected outputs of")


def post(server: Server, body: object, **options: object) -> tuple[int, str]:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    url = f"http://{server.rest_address}/v1/models/kits:predict"
    found = requests.post(url, data, timeout=30, **options)
    return found.status_code, found.json()["error"]


AFFINE = np.eye(4).tolist()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "expected JSON: "),
        (b"[" * 100_000, "expected JSON: "),
        (b"[1]", 'expected {"inputs": {...}}, columns'),
        ({"instances": [{"hu": [[[1]]]}]}, 'expected {"inputs": {...}}, columns'),
        ({"inputs": 5}, "inputs: expected an object of tensors by name"),
        ({"inputs": {"hu": [[[1]]]}}, "expected inputs affine, hu, got hu"),
        ({"inputs": {"hu": [[[1.5]]], "affine": AFFINE}}, "hu: expected nested lists of int16, of even lengths"),
        ({"inputs": {"hu": [[[True]]], "affine": AFFINE}}, "hu: expected nested lists of int16, of even lengths"),
        ({"inputs": {"hu": [[[1, 2], [3]]], "affine": AFFINE}}, "hu: expected nested lists of int16, of even lengths"),
        ({"inputs": {"hu": [[["a"]]], "affine": AFFINE}}, "hu: expected nested lists of int16, of even lengths"),
        ({"inputs": {"hu": [[[40000]]], "affine": AFFINE}}, "hu: expected numbers of int16"),
        ({"inputs": {"hu": [[[10**40]]], "affine": AFFINE}}, "hu: expected nested lists of int16, of even lengths"),
        ({"inputs": {"hu": [[1]], "affine": AFFINE}}, "hu: expected shape (None, None, None), got [1, 1]"),
        ({"signature_name": "hearts", "inputs": {}}, "signature_name: expected one of serving_default, "),
        ({"signature_name": ["a"], "inputs": {}}, "signature_name: expected one of serving_default, "),
    ],
)
def test_bodies_that_do_not_fit_are_refused(body: object, message: str, server: Server) -> None:
    status, text = post(server, body)
    assert (status, text[: len(message)]) == (400, message)


def test_compressed_and_too_large_bodies_are_refused_unread(make_server) -> None:
    server = make_server(max_rest_mb=1)
    assert post(server, b"x", headers={"Content-Encoding": "gzip"})[0] == 400
    assert post(server, b" " * 1_000_001) == (413, "expected a body of 1000000 bytes at most; gRPC takes larger ones")
    assert post(server, iter([b" " * 600_000] * 2))[0] == 413  # in chunks, without their length


def test_too_large_messages_are_refused(make_server) -> None:
    server = make_server(max_message_mb=1)
    code, text = refused(server, request_of(hu=np.zeros((100, 100, 60), np.int16), affine=SCAN["affine"]))
    assert code == "RESOURCE_EXHAUSTED" and "larger than max (1200" in text
    with Client(server.grpc_address) as client:  # it lives
        assert client._connection.predict("serving_default", SCAN)["labels"].shape == (3, 3, 3)


def test_what_finds_no_place_in_the_queue_is_refused_and_the_others_served(make_server) -> None:
    server = make_server(queue=2)
    start, codes = threading.Barrier(30), []

    def ask(_: int) -> None:
        channel, call = predict_call(server)
        start.wait()
        try:
            call(request_of(**SCAN), timeout=60)
            codes.append("OK")
        except grpc.RpcError as error:
            codes.append(error.code().name)
        channel.close()

    with server.service._device, ThreadPoolExecutor(30) as clients:  # nothing is computed for now
        asked = clients.map(ask, range(30))
        wait_until(lambda: len(codes) == 27)
        assert codes == ["RESOURCE_EXHAUSTED"] * 27
        assert requests.get(f"http://{server.rest_address}/healthz", timeout=5).ok
        status, text = post(server, {"inputs": {"hu": [[[1]]], "affine": AFFINE}})
        assert (status, text) == (429, "all 3 places in the queue are taken, try again later")
        server.service._device.release()
        list(asked)
        server.service._device.acquire()
    assert codes[27:] == ["OK"] * 3


def test_a_client_that_hangs_while_sending_is_dropped_and_frees_its_place(make_server) -> None:
    server = make_server(queue=0, receive_s=0.5)
    stop = threading.Event()

    def never() -> Iterator[bytes]:
        stop.wait(20)
        return iter(())

    channel = grpc.insecure_channel(server.grpc_address)
    call = channel.stream_unary(messages.PREDICT)
    hanging = call.future(iter(never, None))
    with pytest.raises(grpc.RpcError):
        hanging.result(timeout=10)
    stop.set()
    channel.close()
    wait_until(lambda: not waiting(server))
    host, _, port = server.rest_address.rpartition(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"POST /v1/models/kits:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        slow.settimeout(10)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
    wait_until(lambda: not waiting(server))
    with Client(server.grpc_address) as client:
        assert client._connection.predict("serving_default", SCAN)["labels"].shape == (3, 3, 3)


def test_a_client_that_vanishes_is_not_computed_for(make_server) -> None:
    server = make_server()
    with server.service._device:
        channel, call = predict_call(server)
        asked = call.future(request_of(**SCAN))
        wait_until(lambda: waiting(server) == 1)
        asked.cancel()
        channel.close()
        host, _, port = server.rest_address.rpartition(":")
        body = json.dumps({"inputs": {"hu": [[[1]]], "affine": AFFINE}}).encode()
        with socket.create_connection((host, int(port))) as gone:
            head = f"POST /v1/models/kits:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            gone.sendall(head.encode() + body)
            wait_until(lambda: waiting(server) >= 1)
        time.sleep(1)  # for the news that both are gone
    for method in ("Predict", "rest"):
        line = f'kits_tf_requests_total{{method="{method}",status="CANCELLED"}} 1.0'
        wait_until(lambda line=line: line in server.service.metrics.text().decode())
    # Since it was started, nothing was computed.
    assert "kits_tf_seconds_count" not in server.service.metrics.text().decode()


def test_new_versions_replace_old_ones_and_broken_ones_do_not(
    make_server, fake_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "kits_tf")
    root = tmp_path / "kits"
    shutil.copytree(fake_dir / "1", root / "1")
    server = make_server(export_dir=str(root))

    def states() -> dict[int, str]:
        url = f"http://{server.rest_address}/v1/models/kits"
        found = requests.get(url, timeout=5).json()["model_version_status"]
        return {int(version["version"]): version["state"] for version in found}

    def wait_for(expected: dict[int, str]) -> None:
        wait_until(lambda: states() == expected)

    (root / "2").mkdir()
    (root / "2" / "saved_model.pb").write_bytes(b"half of it")
    wait_for({1: "AVAILABLE", 2: "END"})
    shutil.copytree(fake_dir / "1", root / ".partial")
    (root / ".partial").rename(root / "3")
    wait_for({1: "END", 2: "END", 3: "AVAILABLE"})
    (root / "3").rename(root / ".partial")  # which takes it back
    wait_for({1: "AVAILABLE", 2: "END"})
    wait_until(lambda: "serving version 1 in place of 3" in caplog.messages)
    assert caplog.messages.count(f"version 3 is no longer in {root}: loading the newest of the others") == 1

    def unreadable(_: Path) -> dict[int, Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(model_folder, "complete_versions", unreadable)
    wait_until(lambda: f"{root}: cannot be read, it is tried again: Permission denied" in caplog.messages)
    monkeypatch.undo()  # and the folder is watched as before
    (root / ".partial").rename(root / "3")
    wait_for({1: "END", 2: "END", 3: "AVAILABLE"})
    shutil.rmtree(root / "1")
    wait_for({2: "END", 3: "AVAILABLE"})
    with Client(server.grpc_address, model_version=3) as client:
        assert client.metadata.classes[3] == "tumor"
    with pytest.raises(UnavailableError, match="NOT_FOUND: Servable not found for request: 'kits version 1'"):
        Client(server.grpc_address, model_version=1)
    with pytest.raises(UnavailableError, match="NOT_FOUND: Servable not found for request: 'kits label canary'"):
        Client(server.grpc_address, model_label="canary")
    shutil.rmtree(root)  # the last version stays
    time.sleep(0.5)
    assert states() == {3: "AVAILABLE"}
    assert caplog.messages.count(f"version 3 is no longer in {root}: it is served until there is another") == 1


def test_an_ipv6_address_is_listened_on_and_shown_in_brackets(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    server = Server(ServerSettings(export_dir=str(tmp_path), host="::1", grpc_port=0, rest_port=0))
    addresses = server.grpc_address, server.rest_address
    with pytest.raises(InputError, match="expected the folder of an exported model, which holds its versions"):
        server.start()
    for address in addresses:
        assert re.fullmatch(r"\[::1\]:[1-9]\d+", address)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    expected = "kits: expected the folder of an exported model, which holds its versions; found no such folder$"
    with pytest.raises(InputError, match=expected):
        Server(ServerSettings(export_dir=str(tmp_path / "kits"), grpc_port=0, rest_port=0)).start()
    (tmp_path / "kits" / "1").mkdir(parents=True)
    (tmp_path / "kits" / "1" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match=r"kits: expected a version that can be served, version 1: .*SavedModel"):
        Server(ServerSettings(export_dir=str(tmp_path / "kits"), grpc_port=0, rest_port=0)).start()


def test_ports_that_are_taken_are_refused(server: Server, fake_dir: Path) -> None:
    taken = {
        "grpc_port": int(server.grpc_address.rpartition(":")[2]),
        "rest_port": int(server.rest_address.rpartition(":")[2]),
    }
    for name in taken:
        ports = {"grpc_port": 0, "rest_port": 0, name: taken[name]}
        expected = f"^--{name}={taken[name]}: expected a free port, another program listens on 127.0.0.1:{taken[name]};"
        with pytest.raises(InputError, match=expected):
            Server(ServerSettings(export_dir=str(fake_dir), **ports))
    with pytest.raises(InputError, match=r"^--rest_port: expected another port than --grpc_port, got 8500 for both$"):
        ServerSettings(export_dir=str(fake_dir), grpc_port=8500, rest_port=8500)
    with pytest.raises(InputError, match=r"^--host=203.0.113.7: expected an address of this machine: "):
        Server(ServerSettings(export_dir=str(fake_dir), host="203.0.113.7", grpc_port=0, rest_port=0))


def certificate(folder: Path) -> tuple[str, str]:
    """Writes a certificate for 127.0.0.1 that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kits")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    signed = built.add_extension(names, False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    kinds = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*kinds))
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_tls_and_token_guard_both_protocols(make_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path)
    (tmp_path / "token").write_text("open sesame\n")
    server = make_server(tls_cert=cert, tls_key=key, token_file=str(tmp_path / "token"))
    secret = {"tls": True, "ca_file": cert, "token_file": str(tmp_path / "token")}
    address = server.grpc_address
    with Client(address, **secret) as client:
        assert client.metadata.classes[3] == "tumor"
    with pytest.raises(UnavailableError, match=r"expected the token of this server \(--token_file"):
        Client(address, tls=True, ca_file=cert)
    with pytest.raises(UnavailableError, match="expected a server"):
        Client(address, attempts=1)
    with pytest.raises(UnavailableError, match="expected a server"):
        Client(address, tls=True, attempts=1)  # nobody knows who signed it
    monkeypatch.setenv("KITS_TF_TOKEN", "open sesame")
    Client(address, tls=True, ca_file=cert).close()
    url, token = f"https://{server.rest_address}", {"authorization": "Bearer open sesame"}
    assert server.url == url
    assert requests.get(f"{url}/v1/models/kits", headers=token, verify=cert, timeout=5).ok
    for headers in ({}, {"authorization": "Bearer guess"}):
        refused = requests.get(f"{url}/v1/models/kits", headers=headers, verify=cert, timeout=5)
        assert (refused.status_code, refused.json()) == (401, {"error": "expected the token of this server"})
    assert requests.get(f"{url}/healthz", verify=cert, timeout=5).ok


def test_a_token_does_not_leave_the_machine_in_the_clear(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    with pytest.raises(InputError, match="example.org:8500: expected --tls with a token"):
        Connection(ConnectionSettings(server="example.org:8500", token_file=str(tmp_path / "token")))
    with pytest.raises(InputError, match="gone: expected a file that can be read"):
        Connection(ConnectionSettings(server="localhost:8500", token_file=str(tmp_path / "gone")))


def test_an_empty_token_file_guards_nothing_and_is_refused(fake_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(InputError, match="token: expected a token, got an empty file"):
        Server(ServerSettings(export_dir=str(fake_dir), grpc_port=0, rest_port=0, token_file=str(tmp_path / "token")))
    with pytest.raises(InputError, match="token: expected a token, got an empty file"):
        Connection(ConnectionSettings(server="localhost:8500", token_file=str(tmp_path / "token")))


def test_what_fails_within_the_server_stays_there(make_server, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server()

    def fail(*_: object) -> None:
        raise RuntimeError("/root/secret")

    monkeypatch.setattr(server.service, "predict", fail)
    message = "the server failed at this request; its log says why"
    assert refused(server, request_of(**SCAN)) == ("INTERNAL", message)
    assert post(server, {"inputs": {"hu": [[[1]]], "affine": AFFINE}}) == (500, message)


def test_a_deadline_is_kept(server: Server) -> None:
    with Client(server.grpc_address) as client, server.service._device:
        connection = Connection(ConnectionSettings(server=server.grpc_address, deadline_s=0.2))
        with pytest.raises(InputError, match=r"no answer within 0.2 s \(--deadline_s\)$"):
            connection.predict("serving_default", SCAN)
        connection.close()
        assert client.metadata


def test_only_a_server_that_does_not_answer_is_tried_again(make_server) -> None:
    """One that starts in the meantime is reached."""
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(lambda: Client(f"127.0.0.1:{port}", attempts=10))
        time.sleep(1)
        make_server(grpc_port=port)
        found.result(timeout=30).close()


def test_the_command_stops_gracefully(fake_dir: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "kits_tf.serve",
        f"--export_dir={fake_dir}",
        "--grpc_port=0",
        "--rest_port=0",
        "--host=0.0.0.0",
    ]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": "."})
        wait_until(lambda: "--token_file" in (tmp_path / "log").read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("starting TensorFlow")]  # if that takes long
    assert lines[0] == "serving version 1" and lines[1].startswith("model kits: gRPC on 0.0.0.0:")
    assert lines[2:] == [
        "WARNING: anyone who reaches 0.0.0.0 can use the model; --token_file requires a token",
        "stopping: running requests are finished first",
    ]


def test_a_client_starts_without_tensorflow(server: Server) -> None:
    code = f"""
import sys
from kits_tf.serving.remote_model import Client
with Client({server.grpc_address!r}) as client:
    print(len(client.metadata.classes), "tensorflow" in sys.modules, "keras" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "4 False False\n"
