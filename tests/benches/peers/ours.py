#!/usr/bin/env python3
"""The adapter of `lineage` for the runner of the bench: ours.py BENCH LINEAGE ARGUMENTS...

Warm figures are those of `lineage serve` on this machine, over one connection that is kept: HTTP is part of them.
"""
import csv
import http.client
import io
import json
import os
import re
import resource
import subprocess
import sys
import time
from datetime import datetime, timezone


def text_of(q):
    """The question in the language."""
    name = lambda text: "'" + text.replace("'", "''") + "'"
    if q[0] == "q1":
        return "count models downstream of dataset " + name(q[1])
    if q[0] == "q2":
        return "count datasets upstream of model %s@'%s'" % (name(q[1]), q[2])
    if q[0] == "q3a":
        depth = "" if q[2] is None else "within %d steps " % q[2]
        return "count artifacts %sdownstream of dataset %s" % (depth, name(q[1]))
    if q[0] == "q4v":
        at = "" if q[1] is None else datetime.fromtimestamp(q[1] / 1000, timezone.utc).strftime(" as of %Y-%m-%dT%H:%M:%S.") + "%03dZ" % (q[1] % 1000)
        return "count models live in prod without a passing audit since their last training" + at
    if q[0] == "q5m":
        return "path from dataset %s to model %s@'%s'" % (name(q[1]), name(q[2]), q[3])
    if q[0] == "q6v":
        return "count models downstream of (artifacts tagged %s) per actor" % name(q[1])
    raise KeyError(q[0])


def answer_of(q, text):
    rows = list(csv.reader(io.StringIO(text)))
    if q[0] == "q5m":
        # Nodes and the steps between them alternate, below the header.
        return (len(rows) - 2) // 2 if len(rows) > 1 else None
    if q[0] == "q6v":
        return dict(sorted((row[0], int(row[1])) for row in rows[1:]))
    return int(rows[1][0])


def main(bench, binary, what, *a):
    def run(*arguments, **more):
        return subprocess.run([binary, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more).stdout
    asked = lambda q: [binary, "--store", a[0], "query", text_of(q), "--output", "csv"]
    if what == "load":
        native = a[1] + ".native"
        subprocess.run([sys.executable, bench + "/to_native.py", a[0], native], check=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        run("--store", a[1], "init")
        t = time.perf_counter()
        run("--store", a[1], "ingest", native)
        seconds = time.perf_counter() - t
        os.unlink(native)
        after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return {"events": sum(1 for _ in open(a[0], "rb")), "seconds": seconds, "rss_mb": after / 1024 if after > before else None}
    if what == "commit1":
        return {"per_s": None}
    if what == "stop":
        return None
    q = json.load(open(a[1], encoding="utf-8"))["queries"][a[2]]
    if what == "coldcmd":
        return asked(q)
    if what == "query":
        return answer_of(q, subprocess.run(asked(q), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout)
    server = subprocess.Popen([binary, "--store", a[0], "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        port = next(int(found.group(1)) for line in server.stdout if (found := re.search(r"127\.0\.0\.1:(\d+)", line)))
        connection = http.client.HTTPConnection("127.0.0.1", port)
        body = json.dumps({"query": text_of(q), "output": "csv"})
        def ask():
            connection.request("POST", "/api/query", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, text
            return text
        first, times = ask(), []
        for _ in range(int(a[3])):
            t = time.perf_counter()
            ask()
            times.append(time.perf_counter() - t)
        peak = next(int(line.split()[1]) for line in open("/proc/%d/status" % server.pid) if line.startswith("VmHWM"))
        return {"answer": answer_of(q, first), "median_ms": 1000 * sorted(times)[len(times) // 2], "n": len(times), "rss_mb": peak / 1024}
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:]), ensure_ascii=False))
