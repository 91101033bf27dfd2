"""What serving costs over calling the SavedModel: overhead, latency and throughput by clients, cold start.

    python benchmarks/serve.py --export_dir=models/kits --scan=SCAN.nii.gz

The model is called in this process and through kits_tf.serve in turns, with nothing else running; the client is
kits_tf.Client. "first mask" is from the start of the server's process, imports and loading included.
"""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from absl import app, flags

from kits_tf.base.startup import start_tensorflow

EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder of an exported model's versions.", required=True)
SCAN = flags.DEFINE_string("scan", None, "A NIfTI file.", required=True)
REPEATS = flags.DEFINE_integer("repeats", 5, "Calls of each kind, in turns.")
CLIENTS = flags.DEFINE_list("clients", ["1", "2", "4"], "How many clients at once, each with a scan.")
GRPC, REST, PORTS = "127.0.0.1:18500", "127.0.0.1:18501", ("--grpc_port=18500", "--rest_port=18501")


def main(_: list[str]) -> None:
    start_tensorflow()
    from kits_tf.ct.volume import read_image
    from kits_tf.serving.remote_model import Client
    from kits_tf.serving.saved_model import load
    from kits_tf.serving.versions import find_saved_model

    image = read_image(Path(SCAN.value))
    start = time.perf_counter()
    server = subprocess.Popen(
        [*(sys.executable, "-m", "kits_tf.serve"), f"--export_dir={EXPORT_DIR.value}", *PORTS, "--model_name=kits"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while "gRPC on" not in server.stdout.readline():
            pass
        print(f"voxels: {' x '.join(map(str, image.array.shape))}")
        print(f"cold start: ready after {time.perf_counter() - start:.1f} s", end=", ")
        client = Client(GRPC)
        client.segment(image)
        print(f"first mask after {time.perf_counter() - start:.1f} s")
        model = load(find_saved_model(EXPORT_DIR.value))
        stored, affine = image.as_stored(), image.stored.affine.astype("float32")
        model.segment(stored, affine)
        calls = {
            "in process": lambda: model.segment(stored, affine),
            "volume over gRPC": lambda: client.model.segment(stored, affine),
        }
        before = computing_s()
        seconds = in_turns(calls, REPEATS.value)
        computed = (computing_s() - before) / REPEATS.value
        overhead = statistics.mean(seconds["volume over gRPC"]) - computed
        print(f"of a call over gRPC the server computes {computed:.2f} s; the rest is {overhead:.2f} s", end=", ")
        print(f"{overhead / computed:.1%} of that")
        plain = statistics.median(seconds["in process"])
        print("| call | median s | over in process |\n|---|---|---|")
        for name, times in seconds.items():
            print(f"| {name} | {statistics.median(times):.2f} | {statistics.median(times) / plain - 1:+.1%} |")
        by_clients(image)
        print(f"server: largest resident memory {peak_mb(server.pid):.0f} MB")
    finally:
        server.terminate()
        server.wait(60)


def computing_s() -> float:
    """Returns for how long the server has computed volumes so far, from its metrics."""
    text = requests.get(f"http://{REST}/monitoring/prometheus/metrics", timeout=10).text
    return float(re.search(r'kits_tf_seconds_sum\{signature="serving_default"\} (\S+)', text)[1])


def in_turns(calls: dict, repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            seconds[name].append(seconds_of(call))
    return seconds


def seconds_of(call: Callable) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def by_clients(image: object) -> None:
    """Prints latency and throughput for several clients at once."""
    from kits_tf.serving.remote_model import Client

    print("| clients | median latency, s | scans an hour |\n|---|---|---|")
    for count in map(int, CLIENTS.value):
        clients = [Client(GRPC) for _ in range(count)]
        clients[0].segment(image)
        start = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            latencies = list(pool.map(lambda client: seconds_of(lambda: client.segment(image)), clients))
        rate = count * 3600 / (time.perf_counter() - start)
        print(f"| {count} | {statistics.median(latencies):.1f} | {rate:.0f} |", flush=True)
        for client in clients:
            client.close()


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return float("nan")


if __name__ == "__main__":
    app.run(main)
