"""Start app.py on this machine, send it pictures, and measure rate, latency and memory.

    python examples/serving/load_test.py flange.skpadim part.png other.png --requests 10000

Needs psutil. Clients are threads of this process, and share the cores with the server.
"""

import argparse
import http.client
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

TYPES = {".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png"}


def start(model, **options):
    """Start the server on a free port, and return it with the port when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(Path(__file__).parent), "app:app"]
    command += ["--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "SKPADIM_MODEL": str(model)}
    server = subprocess.Popen(command, env=environment, **options)
    while server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/health")
            return server, port
        except ConnectionRefusedError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"the server has ended with status {server.returncode}.")


def load(port, pictures, numbers, n_clients, deadline):
    """Send requests, each client one after the other; return their latencies in seconds."""

    def client(_):
        latencies = []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in numbers:  # of which each client takes the next
            content_type, body = pictures[number % len(pictures)]
            started = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": content_type})
            response = connection.getresponse()
            answer = response.read()
            latencies.append(time.perf_counter() - started)
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {answer.decode()}")
            if time.monotonic() > deadline:
                break
        connection.close()
        return latencies

    with ThreadPoolExecutor(n_clients) as clients:
        return np.concatenate(list(clients.map(client, range(n_clients))))


def main():
    """Print a row for each 1,000 requests, and at the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="file of skpadim.save")
    parser.add_argument("pictures", nargs="+", type=Path, help="PNG or JPEG files, sent in turn")
    parser.add_argument("--requests", type=int, default=1000, help="most requests (1000)")
    parser.add_argument("--clients", type=int, default=4, help="clients at a time (4)")
    parser.add_argument("--seconds", type=float, default=300, help="longest time (300)")
    arguments = parser.parse_args()
    pictures = [(TYPES[path.suffix.lower()], path.read_bytes()) for path in arguments.pictures]
    server, port = start(arguments.model)
    try:
        process = psutil.Process(server.pid)
        deadline = time.monotonic() + arguments.seconds
        print("requests  requests/s  p50 ms  p99 ms  RSS MB")
        print(f"{0:8}  {'':10}  {'':6}  {'':6}  {process.memory_info().rss / 1e6:6.0f}")
        for done in range(0, arguments.requests, 1000):
            if time.monotonic() > deadline:
                break
            numbers = iter(range(done, min(done + 1000, arguments.requests)))
            started = time.perf_counter()
            latencies = load(port, pictures, numbers, arguments.clients, deadline)
            rate = len(latencies) / (time.perf_counter() - started)
            p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
            rss = process.memory_info().rss / 1e6
            row = f"{done + len(latencies):8}  {rate:10.1f}  {p50:6.1f}  {p99:6.1f}  {rss:6.0f}"
            print(row, flush=True)
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
