"""Prints the address of the HTTP port from a log in JSON, if it is there yet."""

import json
import sys

for line in open(sys.argv[1], encoding="utf-8"):
    try:
        entry = json.loads(line)
    except ValueError:
        continue
    fields = entry.get("fields", entry)
    if fields.get("message") == "started":
        print(f"http://{fields['http']}")
