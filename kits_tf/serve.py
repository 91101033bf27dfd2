"""python -m kits_tf.serve: exported models over gRPC and REST, for development and small sites."""

import signal
import threading

from kits_tf import commandline, config, runtime


def main(settings: config.Serve) -> None:
    """Serves until SIGTERM or Ctrl-C, then finishes what runs.

    Raises:
        InputError: the extra `serve` is not installed, there is no version to serve, or a port is taken.
    """
    runtime.require("serve", "grpc", "starlette", "uvicorn", "prometheus_client")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    runtime.start_tensorflow()
    from kits_tf.serving.server.server import Server

    server = Server(settings)
    server.start()
    print(
        f"model {server.name}: gRPC on {server.grpc_address}, REST on http{'s' if settings.tls_cert else ''}://"
        f"{server.rest_address}/v1/models/{server.name}",
        flush=True,
    )
    stop.wait()
    print("stopping: requests that run are finished", flush=True)
    server.stop()


if __name__ == "__main__":
    commandline.run(config.Serve, main)
