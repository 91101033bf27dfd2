"""Hostile input by the thousand, to the reader, the exported graph and the server: what becomes of it, and of memory.

    python benchmarks/fuzz.py --reader=4000 --graph=2000 --grpc=4000 --rest=2000

Hypothesis draws: files whose bytes or headers were changed or cut, volumes and affines of any shape, size and number,
messages and bodies that were changed, cut or made up. Good is an answer, or a refusal in a sentence. Everything else is
counted as a failure, shown, and makes the exit status 1. The server must still answer at the end.
"""

import collections
import gzip
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import requests
from absl import app, flags
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kits_tf.base.errors import InputError
from kits_tf.base.startup import start_tensorflow
from kits_tf.config import DicomSettings

COUNTS = {
    name: flags.DEFINE_integer(name, count, f"Inputs to the {name}.")
    for name, count in (("reader", 4000), ("graph", 2000), ("grpc", 4000), ("rest", 2000))
}
CROWD = flags.DEFINE_integer("crowd", 100, "Clients of the server at once.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of Hypothesis.")
AFFINE_NUMBERS = st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0, 0.7, 3.0, 1e-30, 1e30])
# What a refusal may be; INTERNAL and UNKNOWN are failures.
GOOD_CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "UNIMPLEMENTED"}


class Tally:
    """Counts what became of inputs, and keeps the first failures."""

    def __init__(self, part: str) -> None:
        self.part, self.outcomes, self.failures = part, collections.Counter(), []

    def note(self, outcome: str, is_good: bool, example: object = None) -> None:
        self.outcomes[outcome] += 1
        if not is_good and len(self.failures) < 5:
            self.failures.append(f"{outcome}: {str(example)[:300]}")


def main(_: list[str]) -> None:
    start_tensorflow()
    logging.getLogger("nibabel").disabled = logging.getLogger("nibabel.global").disabled = True
    tallies = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model_dir = make_model(folder)
        for part in (reader(folder), graph(model_dir), *server(model_dir)):
            tallies.append(part)
    print("\n| part | outcome | inputs |\n|---|---|---|")
    for tally in tallies:
        for outcome, count in tally.outcomes.most_common():
            print(f"| {tally.part} | {outcome} | {count} |")
    print(f"| all | | {sum(sum(tally.outcomes.values()) for tally in tallies)} |")
    failures = [f"{tally.part}: {failure}" for tally in tallies for failure in tally.failures]
    print(f"{len(failures)} failures", *failures, sep="\n")
    sys.exit(bool(failures))


def make_model(folder: Path) -> Path:
    """Returns the folder of a tiny exported model."""
    network = ["--patch_size_zyx=8,16,16", "--filters=4,8", "--epochs=1", "--patches_per_case=1", "--shuffle_patches=2"]
    for name, *arguments in (
        ["phantom", f"--output_dir={folder}/data", "--num_cases=4", "--phantom_spacing_zyx_mm=8,6,6"],
        [
            "convert",
            f"--data_dir={folder}/data",
            f"--records_dir={folder}/records",
            "--spacing_zyx_mm=12,10,10",
            "--test_cases=",
        ],
        ["train", f"--records_dir={folder}/records", f"--run_dir={folder}/run", *network],
        ["export", f"--run_dir={folder}/run", f"--export_dir={folder}/kits", "--nocalibrate"],
    ):
        subprocess.run([sys.executable, "-m", f"kits_tf.{name}", *arguments], check=True, capture_output=True)
    return folder / "kits"


def repeat(part: str, strategy: st.SearchStrategy, judge: Callable) -> None:
    """Calls judge with so many examples."""

    @settings(
        max_examples=COUNTS[part].value,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(example: object) -> None:
        judge(example)

    run._hypothesis_internal_use_seed = SEED.value
    run()


@st.composite
def damaged(draw: st.DrawFn, whole: bytes, head: int) -> bytes:
    """Draws a copy with some bytes changed, most of them in the head, and perhaps cut or with more behind."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, head - 1) | st.integers(0, len(content) - 1))
        change = draw(st.binary(min_size=1, max_size=4))
        content[place : place + len(change)] = change
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return bytes(content) + draw(st.binary(max_size=3))


def reader(folder: Path) -> Tally:
    """Files of scans: NIfTI, packed and not, and things that are called so."""
    from kits_tf.ct.scans import find_scans

    tally = Tally("reader")
    packed = (folder / "data" / "case_00000" / "imaging.nii.gz").read_bytes()
    plain = gzip.decompress(packed)
    bomb = gzip.compress(plain + bytes(50_000_000), 1)  # a thousand times as large as its file

    def judge(example: tuple[str, bytes]) -> None:
        suffix, content = example
        path = folder / f"scan{suffix}"
        path.write_bytes(content)
        try:
            (scan,) = find_scans([str(path)], DicomSettings())
            array = scan.read().volume.array
            tally.note("read", array.dtype == np.int16 and array.ndim == 3 and array.size > 0, content[:352])
        except InputError as error:
            tally.note("refused", "\n" not in str(error) and str(path) in str(error), error)
        except Exception as error:
            tally.note(type(error).__name__, False, repr(error))

    header = damaged(plain, 352)
    files = st.one_of(
        st.tuples(st.just(".nii"), header),
        st.tuples(st.just(".nii.gz"), header.map(lambda content: gzip.compress(content, 1))),
        st.tuples(st.just(".nii.gz"), damaged(packed, 400) | st.binary(max_size=500) | damaged(bomb, 60)),
        st.tuples(st.just(".zip"), damaged(b"PK\x03\x04" + plain[:400], 30) | st.binary(max_size=500)),
    )
    repeat("reader", files, judge)
    return tally


def graph(model_dir: Path) -> Tally:
    """Volumes and affines that the graph takes by their types."""
    from kits_tf.serving.saved_model import load

    tally, model = Tally("graph"), load(model_dir / "1")

    def judge(example: tuple[tuple[int, ...], list[float], int]) -> None:
        shape, numbers, seed = example
        hu = np.random.default_rng(seed).integers(-32768, 32768, shape).astype(np.int16)
        affine = np.array(numbers, np.float32).reshape(4, 4)
        try:
            result = model.segment(hu, affine)
            is_good = result.labels.shape == shape and result.labels.max() < 4
            total = abs(float(np.linalg.det(affine[:3, :3].astype(np.float64)))) * hu.size / 1000
            is_good &= bool(np.isclose(result.volumes_ml.sum(), total, rtol=1e-3, atol=1e-30))
            is_good &= bool(((result.confidence >= 0) & (result.confidence <= 1)).all())
            tally.note("segmented", is_good, example)
        except InputError as error:
            tally.note("refused", "\n" not in str(error) and str(error).startswith(("hu:", "affine:")), error)
        except Exception as error:
            tally.note(type(error).__name__, False, (example, error))

    shapes = st.tuples(*[st.integers(0, 12)] * 3)
    axes = st.lists(AFFINE_NUMBERS, min_size=16, max_size=16)
    likely = st.tuples(*[st.floats(-30, 30, width=32)] * 12).map(lambda n: [*n, 0, 0, 0, 1])
    repeat("graph", st.tuples(shapes, axes | likely, st.integers(0, 99)), judge)
    return tally


def server(model_dir: Path) -> list[Tally]:
    """Messages and bodies, with resident memory before and after."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kits_tf.serve", f"--export_dir={model_dir}", "--grpc_port=18500", "--rest_port=18501"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while "gRPC on" not in process.stdout.readline():
            pass
        good = good_request()
        with grpc.insecure_channel("127.0.0.1:18500") as channel:
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            for _ in range(20):
                call(good, timeout=30)
            before = resident_mb(process.pid)
            tallies = [over_grpc(call, good), over_rest(), crowd()]
            call(good, timeout=30)  # or it would raise
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak, after = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000, resident_mb(process.pid)
        print(f"server: resident memory {before:.0f} MB before, {peak:.0f} MB at most, {after:.0f} MB after")
        return tallies
    finally:
        process.terminate()
        process.wait(30)


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def good_request(shape: tuple[int, int, int] = (5, 6, 7)) -> bytes:
    from kits_tf.serving import messages, tensors

    request = messages.PredictRequest(model_spec={"name": "kits"})
    request.inputs["hu"].CopyFrom(tensors.to_proto(np.zeros(shape, np.int16)))
    request.inputs["affine"].CopyFrom(tensors.to_proto(np.eye(4, dtype=np.float32)))
    return request.SerializeToString()


def over_grpc(call: Callable, good: bytes) -> Tally:
    from kits_tf.serving import messages

    tally = Tally("grpc")

    def judge(content: bytes) -> None:
        try:
            call(content, timeout=30)
            tally.note("OK", True)
        except grpc.RpcError as error:
            tally.note(error.code().name, error.code().name in GOOD_CODES and "\n" not in error.details(), error)

    @st.composite
    def made_up(draw: st.DrawFn) -> bytes:
        names = st.sampled_from(["hu", "affine", "x" * 300, "../../etc/passwd", ""])
        spec = {"name": draw(st.sampled_from(["kits", "hearts", ""])), "signature_name": draw(
            st.sampled_from(["", "serving_default", "probabilities", "metadata", "x"])
        )}  # fmt: skip
        request = messages.PredictRequest(model_spec=spec)
        for name in draw(st.sets(names, max_size=3)):
            sizes = st.integers(-3, 5) | st.sampled_from([10**6, 2**62])
            request.inputs[name].CopyFrom(
                messages.TensorProto(
                    dtype=draw(st.integers(0, 30)),
                    tensor_shape={"dim": [{"size": size} for size in draw(st.lists(sizes, max_size=6))]},
                    tensor_content=draw(st.binary(max_size=64)),
                    int_val=draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)),
                    float_val=draw(st.lists(st.floats(width=32), max_size=17)),
                )
            )
        return request.SerializeToString()

    repeat("grpc", damaged(good, len(good)) | made_up() | st.binary(max_size=200), judge)
    return tally


def crowd() -> Tally:
    """Clients all at once with 40 MB each, of which the queue takes nine at a time."""
    tally, content = Tally("crowd"), good_request((80, 500, 500))
    start = threading.Barrier(CROWD.value)

    def ask(_: int) -> None:
        with grpc.insecure_channel("127.0.0.1:18500", [("grpc.max_receive_message_length", -1)]) as channel:
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            start.wait()
            try:
                call(content, timeout=300)
                tally.note("OK", True)
            except grpc.RpcError as error:
                tally.note(error.code().name, error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error)

    with ThreadPoolExecutor(CROWD.value) as clients:
        list(clients.map(ask, range(CROWD.value)))
    return tally


def over_rest() -> Tally:
    tally, session = Tally("rest"), requests.Session()
    good = {"hu": np.zeros((3, 3, 3), int).tolist(), "affine": np.eye(4).tolist()}
    whole = json.dumps({"inputs": good}).encode()

    def judge(example: tuple[str, bytes]) -> None:
        path, body = example
        response = session.post(f"http://127.0.0.1:18501{path}", body, timeout=30)
        status = response.status_code
        tally.note(f"status {status}", status < 500 and status != 499, (path, body[:200], response.text[:200]))

    anything = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    )
    tensors = st.fixed_dictionaries({"hu": anything, "affine": anything}) | anything
    bodies = st.one_of(
        damaged(whole, len(whole)),
        tensors.map(lambda value: json.dumps({"inputs": value}).encode()),
        st.binary(max_size=100),
    )
    paths = st.sampled_from(
        ["/v1/models/kits:predict"] * 6
        + [
            "/v1/models/kits/versions/1:predict",
            "/v1/models/..%2f..%2fetc:predict",
            "/v1/models/kits/versions/x:predict",
            "/",
        ]
    )
    repeat("rest", st.tuples(paths, bodies), judge)
    return tally


if __name__ == "__main__":
    app.run(main)
