"""Asks one address again and again, on connections that are kept and on new ones, until it is told to end.

python3 load.py URL FILE: FILE then holds the number of requests and that of the failed ones.
"""

import http.client
import signal
import sys
import threading
import urllib.parse

url = urllib.parse.urlparse(sys.argv[1])
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
counts = []


def client(keep):
    """Counts its own requests: [all, failed]."""
    count = [0, 0]
    counts.append(count)
    connection = None
    while not stop.is_set():
        try:
            if connection is None:
                connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=5)
            connection.request("GET", url.path or "/")
            answer = connection.getresponse()
            answer.read()
            good = answer.status == 200
            if not keep or answer.will_close:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            good = False
            print(f"failed: {error!r}", file=sys.stderr)
            connection = None
        count[0] += 1
        count[1] += not good
        stop.wait(0.01)


threads = [threading.Thread(target=client, args=(keep,)) for keep in [True] * 6 + [False] * 2]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open(sys.argv[2], "w", encoding="utf-8") as file:
    print(sum(count[0] for count in counts), sum(count[1] for count in counts), file=file)
