"""Prints so many services, each with three endpoints."""

import sys

for n in range(int(sys.argv[1])):
    a, b = divmod(n, 250)
    endpoints = ", ".join(f"{{address: 10.{k}.{a}.{b + 1}}}" for k in range(3))
    print(
        f"""---
apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {{name: service-{n:05}, namespace: team-{n % 20:02}, labels: {{tier: "{n % 3}"}}}}
spec:
  hosts: [service-{n:05}.test]
  ports: [{{port: 80, protocol: HTTP}}]
  sources: [{{static: {{endpoints: [{endpoints}]}}}}]"""
    )
