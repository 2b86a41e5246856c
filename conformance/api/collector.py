"""Takes metrics as an OpenTelemetry collector does, with OpenTelemetry's own messages, and holds them against /metrics.

    collector.py BINARY FOLDER
"""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import tempfile
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric

LIMIT = 60.0
KEY = "Bearer judge"
requests: queue.Queue[tuple[str, str | None, ExportMetricsServiceRequest]] = queue.Queue()


class Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        message = ExportMetricsServiceRequest.FromString(body)
        requests.put((self.path, self.headers["authorization"], message))
        answer = ExportMetricsServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def labels(point: object) -> frozenset[tuple[str, str]]:
    return frozenset((one.key, one.value.string_value) for one in point.attributes)


def judge(metrics: list[Metric], text: str) -> None:
    """Each metric is one of /metrics, of its kind, and its points are such."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    seen = set()
    for metric in metrics:
        kind = {"sum": "counter"}.get(metric.WhichOneof("data"), metric.WhichOneof("data"))
        assert kinds.get(metric.name) == kind, f"{metric.name}: {kind}, on /metrics {kinds.get(metric.name)}"
        seen.add(kind)
        points = getattr(metric, metric.WhichOneof("data")).data_points
        assert points and len({labels(point) for point in points}) == len(points), f"{metric.name}: {points}"
        for point in points:
            assert point.time_unix_nano > 0, metric.name
            for key, value in labels(point):
                assert f'{key}="{value}"' in text, f"{metric.name} {key}={value}"
        if kind == "counter":
            assert metric.sum.is_monotonic, metric.name
        if kind != "gauge":
            held = getattr(metric, metric.WhichOneof("data"))
            assert held.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE, metric.name
            assert all(0 < point.start_time_unix_nano <= point.time_unix_nano for point in points), metric.name
        if kind == "histogram":
            for point in points:
                assert sum(point.bucket_counts) == point.count, point
                assert len(point.bucket_counts) == len(point.explicit_bounds) + 1, point
    assert seen == {"counter", "gauge", "histogram"}, seen


def main() -> None:
    binary, folder = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as place:
        headers, log = Path(place, "headers"), Path(place, "log")
        headers.write_text(f"authorization: {KEY}\n")
        command = [binary, "serve", "--source-dir", folder, "--state-dir", f"{place}/state", "--log-format", "json"]
        command += ["--xds-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--auth", "none"]
        command += ["--otlp-endpoint", f"http://127.0.0.1:{server.server_port}", "--otlp-interval", "1s"]
        command += ["--otlp-headers-file", str(headers), "--replica", "judge-1"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            path, key, _ = requests.get(timeout=LIMIT)
            assert (path, key) == ("/v1/metrics", KEY), (path, key)
            _, _, message = requests.get(timeout=LIMIT)
            http = re.search(r'"http":"([^"]+)"', log.read_text())
            assert http, log.read_text()
            with urllib.request.urlopen(f"http://{http[1]}/metrics", timeout=LIMIT) as answer:
                text = answer.read().decode()
            (resource,) = message.resource_metrics
            words = dict(labels(resource.resource))
            assert (words["service.name"], words["service.instance.id"]) == ("isthmus", "judge-1"), words
            metrics = list(resource.scope_metrics[0].metrics)
            judge(metrics, text)
            assert KEY not in log.read_text(), "the secret is in the log"
        finally:
            process.terminate()
            process.wait(LIMIT)
        assert process.returncode == 0, process.returncode
        print(f"OTLP: {len(metrics)} metrics as /metrics has them")


if __name__ == "__main__":
    main()
