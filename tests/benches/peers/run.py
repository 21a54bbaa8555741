#!/usr/bin/env python3
"""Compares `lineage` with other databases on one history: run.py BENCH LINEAGE [SCALE] [WORK] [ARGUMENTS OF BENCH/run.py...]

BENCH is the folder of the shared bench (generator, oracle, adapters of SQLite, DuckDB, PostgreSQL and Kuzu), LINEAGE the binary.
The interpreter that runs this needs numpy, orjson, pyarrow, duckdb, kuzu and psycopg2-binary; PostgreSQL is found by pg_config.
Every answer is compared with the oracle's; a wrong one makes this fail.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = ["sqlite", "duckdb", "postgres", "kuzu"]


def main(bench, binary, scale="1M", work="bench-work", *more):
    os.makedirs(work, exist_ok=True)
    history = os.path.join(work, "public-%s.ndjson" % scale)
    expected = history.replace(".ndjson", ".expected.json")
    if not os.path.exists(history):
        subprocess.run([sys.executable, bench + "/gen.py", scale, history], check=True)
    if not os.path.exists(expected):
        subprocess.run([sys.executable, HERE + "/questions.py", bench, history, expected], check=True)
    # The runner starts adapters by an interpreter; this one puts the adapted questions in.
    interpreter = os.path.join(os.path.abspath(work), "python")
    with open(interpreter, "w") as file:
        file.write("#!/bin/sh\nexec '%s' '%s/adapt.py' \"$@\"\n" % (sys.executable, HERE))
    os.chmod(interpreter, 0o755)
    env = dict(os.environ, **{"BENCH_PY_" + peer.upper(): interpreter for peer in PEERS})
    ours = "'%s' '%s/ours.py' '%s' '%s'" % (sys.executable, HERE, bench, os.path.abspath(binary))
    command = [sys.executable, bench + "/run.py", scale, "--work", work, "--peers", ",".join(PEERS), "--ours", ours, *more]
    sys.exit(subprocess.run(command, env=env).returncode)


main(*sys.argv[1:])
