"""Writes to a real API server, over HTTP and with the command line. See run.sh."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from isthmus import WORK, Failed, Isthmus, Person, account, eventually, kubectl, live, path_of, route, version

HERE = Path(__file__).parent
failures = 0


def check(what: str, ok: object, said: object = "") -> None:
    global failures
    failures += not ok
    print(f"ok      {what}" if ok else f"FAILED  {what}: {said}", flush=True)


class People:
    def __init__(self, isthmus: Isthmus) -> None:
        self.isthmus = isthmus
        self.writer = account(isthmus, "writer")
        self.reader = account(isthmus, "reader")
        self.mender = account(isthmus, "mender")
        self.operator = account(isthmus, "operator")
        self.chief = account(isthmus, "chief")
        self.nobody = account(isthmus, "nobody")

    def audit(self, subject: str) -> list[dict[str, Any]]:
        """The newest first."""
        records = self.chief.ask("GET", "/api/v1/audit?limit=500").body["items"]
        return [record for record in records if record["subject"] == subject]


def who_may(p: People) -> None:
    me = p.writer.ask("GET", "/api/v1/me").body
    check("a token of the cluster says who it is", me["subject"] == p.writer.subject and me["via"] == "kubernetes", me)
    check("its rights there are its roles here", {"role": "editor", "namespaces": ["shop"]} in me["roles"], me["roles"])
    made = p.writer.create(route("pay", "/pay"), "?reason=first")
    check("a route is written", made.status == 201 and made.body.get("revision"), made)
    found = live("pay")
    check("the API server has it", found and path_of("pay") == "/pay", found)
    managers = [entry["manager"] for entry in (found or {}).get("metadata", {}).get("managedFields", [])]
    check("its managedFields name us", "isthmus.dev/changes" in managers, managers)
    record = p.audit(p.writer.subject)[0]
    check("the audit has the write", (record["result"], record["reason"], record["objects"]) == ("done", "first", ["HTTPRoute shop/pay"]), record)
    revision = p.chief.ask("GET", f"/api/v1/revisions/{made.body.get('revision')}").body
    check("the revision names its author", revision.get("author") == p.writer.subject, revision)

    said = p.chief.create(route("witness", "/w"))
    check("the API server sees the person, not us", "written by system:serviceaccount:shop:chief" in said.detail, said)

    said = p.writer.create(route("pay", "/pay", "other"))
    check("not in another namespace", said.status in (403, 404) and live("pay", "other") is None, said)
    said = p.writer.apply(route("pay", "/pay", "other"))
    check("nor by apply", said.status == 403 and live("pay", "other") is None, said)
    record = p.audit(p.writer.subject)[0]
    check("the audit has the try", (record["result"], record["code"]) == ("denied", said.body["code"]), record)
    said = p.reader.create(route("read", "/read"))
    check("who may only look writes nothing", said.status == 403 and live("read") is None, said)
    check("the audit has that too", p.audit(p.reader.subject)[0]["result"] == "denied")
    said = p.nobody.create(route("read", "/read"))
    check("who may nothing sees nothing", said.status in (403, 404), said)
    said = p.isthmus.send("PUT", "/api/v1/namespaces/shop/httproutes/x", route("x", "/x"), if_none_match="*")
    check("nobody has to be somebody", said.status == 401, said)
    said = Person(p.isthmus, "forged", p.writer.token[:-3] + "abc").create(route("x", "/x"))
    check("a forged token is nobody's", said.status == 401, said)

    said = p.mender.create(route("mended", "/m"))
    check("the API server has the last word", said.status == 403 and 'cannot create resource "httproutes"' in said.detail, said)
    check("and it is in the audit", p.audit(p.mender.subject)[0]["result"] == "denied")
    gateway = {**route("edge", "/"), "kind": "Gateway", "spec": {"gatewayClassName": "isthmus", "listeners": [{"name": "http", "port": 10081, "protocol": "HTTP"}]}}
    said = p.writer.apply(gateway)
    check("a kind that is not theirs", said.status == 403 and "gateways" in said.detail, said)
    # What we know of rights is some seconds old.
    kubectl("-n", "shop", "delete", "rolebinding", "writer")
    eventually("it is gone", lambda: kubectl("-n", "shop", "auth", "can-i", "create", "httproutes.gateway.networking.k8s.io", "--as=system:serviceaccount:shop:writer", good=False).strip() != "yes")
    said = p.writer.create(route("late-right", "/l"))
    check("a right that is taken away counts at once", said.status == 403 and live("late-right") is None, said)
    kubectl("apply", "-f", str(HERE / "cluster.yaml"))
    eventually("it is back", lambda: p.writer.create(route("late-right", "/l"), "?dryRun=true").status == 200)

    # A session of the console that began with a token of the cluster.
    login = p.isthmus.send("POST", "/api/v1/login", {"token": p.writer.token})
    cookie = login.headers.get("set-cookie", "").split(";")[0]
    said = p.isthmus.send("PUT", "/api/v1/namespaces/shop/httproutes/console", route("console", "/c"), cookie=cookie, sec_fetch_site="same-origin", if_none_match="*")
    check("the console writes with the token that its session began with", said.status == 201, said)
    said = p.isthmus.send("PUT", "/api/v1/namespaces/other/httproutes/console", route("console", "/c", "other"), cookie=cookie, sec_fetch_site="same-origin", if_none_match="*")
    check("and no further", said.status in (403, 404), said)


def one_document(p: People) -> None:
    w = p.writer
    made = w.create(route("one", "/one"))
    check("made", made.status == 201, made)
    check("its ETag is that of what is read afterwards", made.etag and made.etag == w.read("one").etag, (made.etag, w.read("one").etag))
    again = w.create(route("one", "/other"))
    check("a new one must not be there", again.status == 412 and again.body["current"]["spec"], again)
    kubectl("-n", "shop", "annotate", "httproute", "one", "example.com/theirs=x")
    kubectl("-n", "shop", "label", "httproute", "one", "team=blue")
    document = eventually("we have read it", lambda: (lambda a: a if "theirs" in str(a.body) and "blue" in str(a.body) else None)(w.read("one")))
    stale = w.change(route("one", "/stale"), made.etag)
    check("with an old ETag: 412, and the object as it is", stale.status == 412 and stale.body["current"]["metadata"]["labels"] == {"team": "blue"}, stale)
    check("and its ETag", stale.body.get("currentEtag") == document.etag, stale)
    changed = dict(document.body)
    changed["spec"]["rules"][0]["matches"][0]["path"]["value"] = "/changed"
    status = eventually("its status is written", lambda: (live("one") or {}).get("status", {}).get("parents"))
    said = w.change(changed, document.etag)
    check("what was read, changed", said.status == 200 and path_of("one") == "/changed", said)
    fields = [f["pointer"] for f in said.body["objects"][0]["fields"]]
    check("the report has what differs and nothing else", [f for f in fields if not f.startswith("/metadata/generation")] == ["/spec/rules/0/matches/0/path/value"], fields)
    found = live("one") or {}
    check("what others wrote stays", found["metadata"]["annotations"].get("example.com/theirs") == "x" and found["metadata"]["labels"] == {"team": "blue"}, found["metadata"])
    check("the status stays", len(found["status"]["parents"]) == len(status), found["status"])
    # The API server has it, and our watch may not.
    kubectl("-n", "shop", "label", "httproute", "one", "team=red", "--overwrite")
    said = w.change(route("one", "/lost"), said.etag)
    check("a change that we may not have seen is not overwritten", said.status == 412 and path_of("one") == "/changed", said)
    check("and is shown", said.body.get("current", {}).get("metadata", {}).get("labels") == {"team": "red"}, said)
    etag = eventually("we have read it", lambda: (lambda a: a.etag if "red" in str(a.body) else None)(w.read("one")))
    said = w.change(route("one", "/plain", annotations={"example.com/theirs": "x"}), etag, "?dryRun=true")
    fields = {f["pointer"]: f.get("before") for f in said.body["objects"][0]["fields"]}
    check("what somebody else wrote and is not sent: the report says that it goes", any(pointer.startswith("/metadata/labels") for pointer in fields), fields)
    check("what the API server fills in is not told as a change", not any("parentRefs" in pointer or "weight" in pointer or "/type" in pointer for pointer in fields), fields)
    code, text = w.cli("get", "httproute", "one", "-n", "shop", "-o", "yaml")
    check("the command line reads it", code == 0 and "/changed" in text, text)
    said = w.delete("one", "\"0\"")
    check("deleted with a wrong ETag: 412", said.status == 412 and live("one"), said)
    said = w.delete("one", etag)
    check("deleted", said.status == 200 and live("one") is None and said.body.get("revision"), said)
    said = w.delete("one", etag)
    check("once", said.status == 412, said)
    bad = route("bad", "/bad")
    bad["spec"]["rules"][0]["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}} for _ in range(2)]
    for query in ("", "?dryRun=true"):
        said = w.create(bad, query)
        errors = said.body.get("errors", [])
        check(f"what the CRD's rules refuse is told in the API server's words{query}", said.status == 422 and any("RequestHeaderModifier" in e["text"] and e["pointer"].startswith("/spec/rules/0") for e in errors), said)


def unchanged(names: list[str], before: dict[str, str | None]) -> bool:
    return all(version(name) == before[name] for name in names)


def many_documents(p: People) -> None:
    w = p.writer
    names = ["a", "b", "c"]
    revisions = p.chief.ask("GET", "/api/v1/revisions").body["total"]
    said = w.apply(*(route(name, f"/{name}") for name in names), query="?reason=three")
    check("three at once", said.status == 200 and all(live(name) for name in names), said)
    check("one revision", p.chief.ask("GET", "/api/v1/revisions").body["total"] == revisions + 1)
    # Its status is written a moment later.
    for name in names:
        eventually("its status is written", lambda name=name: (live(name) or {}).get("status", {}).get("parents"))
    before = {name: version(name) for name in names}
    began = time.monotonic()
    said = w.apply(*(route(name, f"/{name}") for name in names))
    took = time.monotonic() - began
    check("the same again changes nothing", said.status == 200 and {o["action"] for o in said.body["objects"]} == {"unchanged"} and not said.body.get("revision"), said)
    check("and is quick", took < 10, took)
    check("and writes nothing", unchanged(names, before))

    # The third is taken in every dry run, and refused when it is written.
    sent = [route("a", "/a2"), route("new", "/new"), route("late", "/late")]
    dry = w.apply(*sent, query="?dryRun=true")
    check("a dry run of what will fail late", dry.status == 200, dry)
    spec = (live("a") or {})["spec"]
    said = w.apply(*sent)
    check("it fails with the API server's words", said.status in (403, 422) and "too late" in said.detail, said)
    check("what was written before is put back", (live("a") or {}).get("spec") == spec and live("new") is None and live("late") is None, live("a"))
    check("and it says so", "HTTPRoute shop/a" in said.detail and "HTTPRoute shop/new" in said.detail, said.detail)
    record = p.audit(w.subject)[0]
    check("the audit has the try", record["result"] in ("refused", "denied") and record["code"] == said.body["code"], record)
    ours = {"labels": {"isthmus.dev/owner": "sticky"}}
    w.apply(*(route(name, f"/{name}", **ours) for name in ("kept", "sticky")))
    spec = (live("kept") or {})["spec"]
    said = w.apply(query="?prune=sticky")
    found = live("kept") or {}
    check("what was deleted before is put back, too", said.status in (403, 422) and found.get("spec") == spec and found["metadata"]["labels"] == ours["labels"] and "HTTPRoute shop/kept" in said.detail, (said, found))
    # Whoever asked hangs up half way.
    many = [route(f"h{n:02}", f"/h{n}", labels={"hung": "up"}) for n in range(60)]
    there = lambda: len(kubectl("-n", "shop", "get", "httproutes", "-l", "hung=up", "-o", "name").split())
    connection = w.begin("POST", "/api/v1/apply", {"apiVersion": "v1", "kind": "List", "items": many})
    eventually("the first of many is written", there)
    connection.close()
    check("a change whose caller is gone is written to its end", eventually("all of it", lambda: there() == len(many)))
    # All are asked about before the first is written.
    before = {name: version(name) for name in ("a", "b")}
    said = w.apply(route("a", "/a3"), route("witness", "/w"))
    check("what can be known before stops all of it", said.status in (403, 422) and unchanged(["a"], before), said)

    dry = w.apply(route("a", "/a4"), route("b", "/b"), route("d", "/d"), query="?dryRun=true")
    check("a dry run writes nothing", dry.status == 200 and unchanged(["a", "b"], before) and live("d") is None, dry)
    done = w.apply(route("a", "/a4"), route("b", "/b"), route("d", "/d"))
    told = lambda a: [(o["name"], o["action"], [f["pointer"] for f in o["fields"]]) for o in a.body["objects"]]
    check("it says what then happens", done.status == 200 and told(dry) == told(done), (told(dry), told(done)))
    check("to whom, too", dry.body["proxies"]["groups"] == done.body["proxies"]["groups"], (dry.body["proxies"], done.body["proxies"]))

    owned = {"labels": {"isthmus.dev/owner": "team"}}
    said = w.apply(route("p1", "/p1", **owned), route("p2", "/p2", **owned))
    check("two that somebody owns", said.status == 200, said)
    dry = w.apply(route("p1", "/p1", **owned), query="?prune=team&dryRun=true")
    check("a dry run of prune", {o["name"]: o["action"] for o in dry.body["objects"]} == {"p1": "unchanged", "p2": "removed"} and live("p2"), dry)
    said = w.apply(route("p1", "/p1", **owned), query="?prune=team")
    check("prune deletes what is not sent, and nothing else", said.status == 200 and live("p1") and live("p2") is None and live("a"), said)

    file = WORK / "routes.yaml"
    file.write_text("".join(f"---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: {n}, namespace: shop}}, spec: {{parentRefs: [{{name: edge}}], rules: [{{matches: [{{path: {{value: /{n}}}}}], backendRefs: [{{group: isthmus.dev, kind: MeshService, name: orders, port: 80}}]}}]}}}}\n" for n in ("cli1", "cli2")))
    code, text = w.cli("apply", "-f", str(file), "--dry-run")
    check("the command line's dry run", code == 0 and live("cli1") is None, text)
    code, text = w.cli("apply", "-f", str(file), "--reason", "by hand")
    check("the command line writes", code == 0 and path_of("cli1") == "/cli1" and path_of("cli2") == "/cli2", text)
    code, text = w.cli("diff", "-f", str(file))
    check("nothing differs afterwards", code == 0, f"{code} {text}")
    code, text = w.cli("delete", "httproute", "cli1", "-n", "shop", "--yes")
    check("and deletes", code == 0 and live("cli1") is None, text)
    record = p.audit(w.subject)[0]
    check("the audit knows the program", record["client"] == "cli" and record["verb"] == "delete", record)

    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}}
    said = p.chief.apply(route("first", "/first", "fresh"), namespace, query="?force=true")
    check("a namespace and what is in it, at once", said.status == 200 and live("first", "fresh"), said)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "quiet", "namespace": "shop"}, "stringData": {"key": "hush-hush"}}
    began = time.monotonic()
    said = p.chief.apply(secret)
    check("a Secret that nothing refers to", said.status == 200 and live("quiet", kind="secret") and time.monotonic() - began < 15, said)
    secret["stringData"] = {"key": "hush-more"}
    said = p.chief.apply(secret)
    check("and again", said.status == 200 and "hush" not in str(said.body), said)
    check("no value of it is told", "hush" not in p.isthmus.log.read_text())


def live_proxies(p: People) -> None:
    import urllib.request
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Orders(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 18083), Orders)
    Thread(target=server.serve_forever, daemon=True).start()
    bootstrap = subprocess.run(
        [os.environ["ISTHMUS"], "bootstrap", "--role", "gateway", "--gateway", "shop/edge", "--node-id", "edge-1", "--xds", f"127.0.0.1:{p.isthmus.xds}"],
        capture_output=True, text=True, check=True,
    ).stdout
    config = WORK / "edge.yaml"
    config.write_text(bootstrap)
    with (WORK / "logs/envoy.log").open("w") as log:
        envoy = subprocess.Popen([os.environ["ISTHMUS_ENVOY"], "-c", str(config), "--use-dynamic-base-id", "--log-level", "warning"], stdout=log, stderr=log)

    def answers(path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:10080{path}", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    try:
        eventually("Envoy is connected", lambda: p.chief.ask("GET", "/api/v1/proxies").body["total"] == 1)
        dry = p.writer.create(route("live", "/live"), "?dryRun=true")
        check("a dry run names the proxy", dry.body["proxies"]["affected"] == 1 and "edge-1" in str(dry.body["proxies"]["groups"]), dry)
        said = p.writer.create(route("live", "/live"), "?wait=live&timeout=30s")
        check("wait=live: the proxy has it", said.status == 201 and said.body["live"] == {"live": 1, "total": 1, "refused": 0}, said)
        check("when it is answered", answers("/live") == 200, answers("/live"))
        before = p.chief.ask("GET", "/api/v1/revisions").body["items"][0]["id"]

        # The way back, by API and by the command line.
        said = p.writer.change(route("live", "/worse"), p.writer.read("live").etag, "?wait=live")
        check("a worse form", said.status == 200 and answers("/live") == 404 and answers("/worse") == 200, said)
        back = f"/api/v1/revisions/{before}/rollback"
        said = p.writer.ask("POST", back)
        check("an editor does not turn back", said.status == 403 and path_of("live") == "/worse", said)
        said = p.operator.ask("POST", f"{back}?dryRun=true")
        check("a dry run of the way back", said.status == 200 and path_of("live") == "/worse" and [o["name"] for o in said.body["objects"]] == ["live"], said)
        said = p.operator.ask("POST", f"{back}?reason=worse")
        check("the way back", said.status == 200 and path_of("live") == "/live", said)
        revision = p.chief.ask("GET", f"/api/v1/revisions/{said.body.get('revision')}").body
        check("its revision says so", (revision.get("author"), revision.get("rollbackOf"), revision.get("reason")) == (p.operator.subject, before, "worse"), revision)
        eventually("Envoy has it", lambda: answers("/live") == 200)
        said = p.operator.delete("live", p.operator.read("live").etag)
        check("deleted", said.status == 200 and live("live") is None, said)
        code, text = p.operator.cli("rollback", before, "--yes", "--reason", "gone")
        check("`isthmus rollback` brings back what was deleted", code == 0 and path_of("live") == "/live", text)
        eventually("Envoy has it again", lambda: answers("/live") == 200)
        code, text = p.operator.cli("rollback", before, "--yes")
        check("once there, there is nothing to do", code == 0, text)
        said = p.writer.delete("live", p.writer.read("live").etag, "?wait=live")
        check("deleted, and gone from the proxy", said.status == 200 and answers("/live") == 404, said)
    finally:
        envoy.terminate()
        envoy.wait()
        server.shutdown()


def modes(p: People) -> None:
    c = p.chief
    for namespace, mode in (("proposed", "propose"), ("closed", "off")):
        said = c.create(route("x", "/x", namespace))
        check(f"{mode}: nothing is written", said.status == 409 and live("x", namespace) is None, said)
        check(f"{mode}: the answer says so, and who writes it", said.body.get("ownership", {}).get("mode") == mode and "the shop's repository" in said.detail, said)
    dry = c.create(route("x", "/x", "proposed"), "?dryRun=true")
    gates = {g["name"]: g["state"] for g in dry.body.get("gates", [])}
    check("propose: a dry run shows what to write, and that it is not written here", dry.status == 200 and "kind: HTTPRoute" in dry.body["objects"][0]["after"] and gates["rights"] == "failed", dry)
    me = c.ask("GET", "/api/v1/me").body
    check("the mode is part of who one is", {"namespaces": "proposed", "mode": "propose"} in me["writeModes"] and me.get("owner") == "the shop's repository", me)
    document = c.read("argo")
    changed = dict(document.body)
    changed["spec"]["hostnames"] = ["mine.example.com"]
    before = version("argo")
    said = c.change(changed, document.etag)
    check("what a GitOps tool syncs is left to it", said.status == 409 and "Argo CD" in said.detail and version("argo") == before, said)
    check("and the answer names it", "Argo CD" in said.body.get("ownership", {}).get("reason", ""), said)
    dry = c.change(changed, document.etag, "?dryRun=true")
    check("a dry run says what would be", dry.status == 200 and [f["pointer"] for f in dry.body["objects"][0]["fields"]] == ["/spec/hostnames/0"], dry)

    # One that leaves no mark but its name as who wrote it.
    kubectl("apply", "--server-side", "--field-manager", "argocd-controller", "-f", "-", send=route("silent", "/silent"))
    document = eventually("we have read it", lambda: (lambda a: a if a.status == 200 else None)(c.read("silent")))
    changed = dict(document.body)
    changed["spec"]["hostnames"] = ["mine.example.com"]
    said = c.change(changed, document.etag)
    check("also where only managedFields name it", said.status == 409 and "Argo CD" in said.detail and "hostnames" not in live("silent")["spec"], said)
    dry = c.change(changed, document.etag, "?dryRun=true")
    check("and in a dry run", {g["name"]: g["text"] for g in dry.body.get("gates", [])}.get("rights", "").startswith("HTTPRoute shop/silent: Argo CD"), dry)

    # A token that the API server does not know: it is asked whether we may speak for it.
    said = c.ask("POST", "/api/v1/tokens", {"name": "ci", "grants": [{"role": "editor", "namespaces": ["shop"]}]})
    ours = Person(p.isthmus, "ci", said.body.get("token", ""))
    subject = ours.ask("GET", "/api/v1/me").body.get("subject", "")
    said = ours.create(route("ours", "/ours"))
    check("a token of ours has no rights in the API server", said.status == 403 and "impersonate" in said.detail and live("ours") is None, said)
    kubectl("apply", "-f", "-", send=impersonation(subject))
    said = eventually("we may speak for it", lambda: (lambda a: a if a.status != 403 else None)(ours.create(route("ours", "/ours"))))
    check("where it has some, it writes under them", said.status == 201 and live("ours"), said)
    said = ours.apply({**route("ours", "/"), "kind": "ReferenceGrant", "apiVersion": "gateway.networking.k8s.io/v1beta1", "spec": {"from": [{"group": "", "kind": "Service", "namespace": "other"}], "to": [{"group": "", "kind": "Service"}]}})
    check("and under no other", said.status == 403 and subject in said.detail, said)


def without_login(_: People) -> None:
    """Nobody is asked on loopback: the kubeconfig says who writes."""
    for name, credentials, good in (("own", os.environ["ISTHMUS_KUBECONFIG"], False), ("person", os.environ["KUBECONFIG"], True)):
        isthmus = Isthmus(name, 8090, 18090, "--kubernetes-namespaces", "shop", credentials=credentials)
        try:
            ask = lambda namespace: isthmus.send("PUT", f"/api/v1/namespaces/{namespace}/httproutes/open", route("open", "/open", namespace), if_none_match="*")
            eventually("the Gateway is known", lambda: isthmus.send("GET", "/api/v1/namespaces/shop/gateways/edge").status == 200)
            said = ask("shop")
            if good:
                check("with a kubeconfig of a person it is theirs to write", said.status == 201 and live("open"), said)
                said = ask("other")
                check("not where nothing is read", said.status == 409 and "kubernetes-namespaces" in said.detail and live("open", "other") is None, said)
            else:
                check("what the control plane may is not for whoever asks", said.status == 403 and "system:serviceaccount:isthmus-system:isthmus" in said.detail and live("open") is None, said)
        finally:
            isthmus.stop()


def impersonation(subject: str) -> dict[str, Any]:
    user = f"isthmus:{subject}"
    api = "rbac.authorization.k8s.io"
    bind = lambda kind, name, role, subjects, **meta: {"apiVersion": f"{api}/v1", "kind": kind, "metadata": {"name": name, **meta}, "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role}, "subjects": subjects}
    return {"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": "speak"}, "rules": [{"apiGroups": [""], "resources": ["users"], "resourceNames": [user], "verbs": ["impersonate"]}]},
        bind("ClusterRoleBinding", "speak", "speak", [{"kind": "ServiceAccount", "name": "isthmus", "namespace": "isthmus-system"}]),
        bind("RoleBinding", "ci", "writer", [{"kind": "User", "apiGroup": api, "name": user}], namespace="shop"),
    ]}


def main(wanted: list[str]) -> int:
    kubectl("apply", "-f", str(HERE / "cluster.yaml"))
    can = lambda: kubectl("-n", "shop", "auth", "can-i", "create", "httproutes.gateway.networking.k8s.io", "--as=system:serviceaccount:shop:writer", good=False)
    eventually("the rights are known", lambda: can().strip() == "yes")
    refused = lambda name: not kubectl("apply", "--dry-run=server", "-f", "-", send=route(name, "/"), good=False)
    eventually("the policies hold", lambda: refused("witness"))
    modes_flag = "proposed=propose,closed=off"
    isthmus = Isthmus("a", 8080, 18000, "--auth", "token", "--auth-kubernetes", "--write-mode-namespaces", modes_flag, "--write-mode-owner", "the shop's repository")
    try:
        people = People(isthmus)
        eventually("the first revision", lambda: people.chief.ask("GET", "/api/v1/revisions").body["total"])
        eventually("the Gateway is known", lambda: people.chief.ask("GET", "/api/v1/namespaces/shop/gateways/edge").status == 200)
        for scenario in (who_may, one_document, many_documents, live_proxies, modes, without_login):
            if wanted and scenario.__name__ not in wanted:
                continue
            print(f"-- {scenario.__name__.replace('_', ' ')}", flush=True)
            try:
                scenario(people)
            except Exception as error:  # the other scenarios say something too
                check(f"{scenario.__name__} to its end", False, error if isinstance(error, Failed) else traceback.format_exc())
        log = isthmus.log.read_text()
        check("no token is in the log", not any(person.token in log for person in vars(people).values() if isinstance(person, Person)))
    finally:
        isthmus.stop()
        if failures:
            print("".join(isthmus.log.read_text().splitlines(keepends=True)[-15:]), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
