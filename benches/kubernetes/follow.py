"""A bare watcher: when each version of each object came out of the API server, with nothing in between."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable

from cluster import ADDRESS, Cluster, Object, path


class Follower:
    """Watches one kind in one namespace, on a connection and a thread of its own."""

    def __init__(self, cluster: Cluster, kind: str, namespace: str) -> None:
        where = path(kind, namespace)
        listed = cluster.do("GET", where)
        self.objects: dict[str, Object] = {one["metadata"]["name"]: one for one in listed["items"]}
        self.times: dict[str, float] = {}
        self.events = 0
        self._news = threading.Condition()
        self._connection = http.client.HTTPSConnection(ADDRESS, 6443, timeout=3600, context=cluster.tls)
        headers = {"authorization": f"Bearer {cluster.token}", "accept": "application/json"}
        version = listed["metadata"]["resourceVersion"]
        self._connection.request("GET", f"{where}?watch=1&resourceVersion={version}", headers=headers)
        self._answer = self._connection.getresponse()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while line := self._answer.readline():
            at = time.monotonic()
            event = json.loads(line)
            found = event["object"]
            with self._news:
                self.events += 1
                self.times[found["metadata"]["resourceVersion"]] = at
                self.objects[found["metadata"]["name"]] = found
                self._news.notify_all()

    def seen(self, version: str, limit: float = 30) -> float:
        """When this version came."""
        self.until(f"version {version}", lambda: version in self.times, limit)
        return self.times[version]

    def until(self, what: str, fits: Callable[[], object], limit: float) -> float:
        """When it was so; looked at after each event."""
        with self._news:
            if not self._news.wait_for(fits, limit):
                raise TimeoutError(f"{what}: not within {limit:g} s")
            return time.monotonic()
