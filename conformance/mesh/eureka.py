"""A registry that is enough for its clients: what is registered, by Eureka's REST interface."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from net import BRIDGE4

PORT = 8761


def instance(app: str, address: str, port: int, **metadata: str) -> dict[str, Any]:
    return {
        "instanceId": f"{address}:{app}:{port}",
        "hostName": address,
        "app": app.upper(),
        "ipAddr": address,
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": port, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1,
        "vipAddress": app,
        "secureVipAddress": app,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "metadata": {key.replace("_", "."): value for key, value in metadata.items()},
        "lastUpdatedTimestamp": "1",
        "actionType": "ADDED",
    }


class Eureka:
    def __init__(self) -> None:
        self.instances: list[dict[str, Any]] = []
        eureka = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def do_GET(self) -> None:
                # Without deltas, as a server may be: the client asks for everything each time.
                known = self.path.rstrip("/") == "/eureka/apps"
                body = json.dumps(eureka.body()).encode() if known else b""
                self.send_response(200 if known else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((BRIDGE4, PORT), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def body(self) -> dict[str, Any]:
        apps: dict[str, list[Any]] = {}
        for one in self.instances:
            apps.setdefault(one["app"], []).append(one)
        count = f"UP_{len(self.instances)}_" if self.instances else ""
        listed = [{"name": name, "instance": all_of} for name, all_of in apps.items()]
        return {"applications": {"versions__delta": "1", "apps__hashcode": count, "application": listed}}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
