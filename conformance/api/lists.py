"""Asks long lists for pages of all sorts and says how long the server took; the worst of the medians must be in bounds."""

import json
import re
import statistics
import sys
import urllib.error
import urllib.request

url, limit = sys.argv[1], float(sys.argv[2])
QUERIES = [
    "services",
    "services?limit=1000",
    "services?namespace=team-07&sort=-endpoints,name",
    "services?sort=-name&limit=100",
    "services?q=0042&sort=namespace",
    "services?state=live&healthy=3&sort=-changed,-name&limit=1000",
    "meshservices?label=tier=1&sort=-name",
    "meshservices?q=service-00042.test",
]


def ask(path, headers=None):
    request = urllib.request.Request(f"{url}/api/v1/{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def took(headers):
    return float(re.search(r"total;dur=([0-9.]+)", headers["Server-Timing"])[1])


status, _, body = ask("services?limit=1")
total = json.loads(body)["total"]
assert total == 10000, f"{total} services"
worst = 0.0
for query in QUERIES:
    times = []
    for _ in range(15):
        status, headers, body = ask(query)
        assert status == 200, body
        times.append(took(headers))
    median = statistics.median(times)
    worst = max(worst, median)
    rows = json.loads(body)
    print(f"{median:8.2f} ms  (worst {max(times):.2f})  {len(rows['items']):5} of {rows['total']:5}  {query}")
status, headers, _ = ask(QUERIES[0])
status, _, body = ask(QUERIES[0], {"If-None-Match": headers["ETag"]})
assert (status, body) == (304, b""), f"{status}: what is known is sent again"
print(f"the worst median is {worst:.2f} ms, the limit {limit:g} ms")
sys.exit(worst > limit)
