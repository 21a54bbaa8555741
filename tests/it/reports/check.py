"""Packs as an auditor reads them: pyarrow, DuckDB and pandas, and the questions of the language again as SQL.

Usage: check.py BINARY FOLDER; the folder holds a store and the packs that the test wrote.
"""

import base64
import gzip
import hashlib
import json
import pathlib
import subprocess
import sys

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq

BINARY, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])
TYPES = {
    "text": pa.string(), "json": pa.string(), "integer": pa.int64(), "float": pa.float64(), "boolean": pa.bool_(),
    "time": pa.timestamp("ns", tz="UTC"), "texts": pa.list_(pa.field("item", pa.string(), nullable=False)),
    "integers": pa.list_(pa.field("item", pa.int64(), nullable=False)),
}


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def check_files(folder):
    said = manifest(folder)
    named = {f["path"]: f for f in said["files"]}
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert present == set(named), present ^ set(named)
    for path, entry in named.items():
        data = (folder / path).read_bytes()
        assert len(data) == entry["size"] and hashlib.sha256(data).hexdigest() == entry["sha256"], path


def check_table(folder, table):
    """Rows, columns, types, missing cells and order of one table, in three programs."""
    where = f"{folder.name}/{table['name']}"
    read = [pq.ParquetFile(folder / f).read() for f in table["files"]]
    assert sum(t.num_rows for t in read) == table["rows"], where
    for arrow in read:
        assert arrow.column_names == [c["name"] for c in table["columns"]], where
        for column in table["columns"]:
            field = arrow.schema.field(column["name"])
            if table["sorted_by"]:  # the answer to a question has types of its own
                assert field.type == TYPES[column["type"]], (where, field)
                assert field.nullable == column["nullable"], (where, field)
            assert field.nullable or arrow[column["name"]].null_count == 0, (where, field)
            told = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
            assert told.get("description") == column["about"] and told.get("unit") == column["unit"], (where, told)
    files = [str(folder / f) for f in table["files"]]
    if not files:
        return
    if "day=" not in files[0]:
        count = duckdb.execute("select count(*) from read_parquet(?)", [files]).fetchall()[0][0]
        frame = pandas.concat([pandas.read_parquet(f) for f in files])
        assert count == len(frame) == table["rows"], where
        rows = pa.concat_tables(read).select(table["sorted_by"]).to_pylist()
        keys = [tuple("" if value is None else value for value in row.values()) for row in rows]
        assert keys == sorted(keys), f"{where} is not sorted by {table['sorted_by']}"


def check_events(folder):
    said = manifest(folder)
    log, events = said["log"], said["events"]
    lines = gzip.decompress((folder / events["path"]).read_bytes())
    assert len(lines) == events["raw_bytes"]
    leaves, position = [], log["first"]
    for line in lines.splitlines():
        head = b'{"position":%d,"leaf":' % position
        assert line.startswith(head) and line.endswith(b"}"), line
        leaves.append(json.loads(line[len(head):-1]))
        position += 1
    assert position == log["size"] and len(leaves) == events["count"]
    return leaves


def root(hashes):
    """RFC 6962: the root of the tree over the hashes of leaves."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + root(hashes[:split]) + root(hashes[split:])).digest()


def check_proofs(folder):
    """The head is that of the events; checkpoint and tiles are of just these."""
    said = manifest(folder)
    log = said["log"]
    if log["first"] != 0:
        return
    lines = gzip.decompress((folder / said["events"]["path"]).read_bytes()).splitlines()
    leaves = [hashlib.sha256(b"\x00" + line.split(b'"leaf":', 1)[1][:-1]).digest() for line in lines]
    head = base64.b64encode(root(leaves)).decode()
    assert log["head"] == head, folder
    _, size, told = (folder / said["proofs"]["checkpoint"]).read_text().split("\n\n")[0].split("\n")
    assert (int(size), told) == (log["size"], head), folder
    tile = b"".join(leaves[:256])
    assert (folder / said["proofs"]["tiles"] / f"tile/0/000.p/{len(leaves)}").read_bytes() == tile


def check_days():
    whole, days = ROOT / "pack0", ROOT / "days"
    for table in manifest(days)["tables"]:
        if not table["files"] or "day=" not in table["files"][0]:
            continue
        name = table["name"]
        counts = duckdb.execute(
            "select count(*), count(*) filter (where day <> strftime(recorded at time zone 'UTC', '%Y-%m-%d')) "
            "from read_parquet(?, hive_partitioning = true, hive_types_autocast = false)",
            [str(days / name / "**/*.parquet")],
        ).fetchall()[0]
        rows = pq.read_metadata(whole / f"{name}.parquet").num_rows
        assert counts == (rows, 0), (name, counts, rows)


def check_increment():
    whole, new = ROOT / "pack0", ROOT / "new"
    first = manifest(new)["log"]["first"]
    assert first == 20
    for table in manifest(whole)["tables"]:
        name, columns = table["name"], [c["name"] for c in table["columns"]]
        rows = pq.read_table(whole / f"{name}.parquet").to_pylist()
        later = pq.read_table(new / f"{name}.parquet").to_pylist()
        wanted = [r for r in rows if r["position"] >= first] if table["of"] == "log" else rows
        assert str(later) == str(wanted), name
        assert columns == list(pq.read_schema(new / f"{name}.parquet").names)


PACK = str(ROOT / "pack0")


def sql(text):
    return sorted(tuple(r) for r in duckdb.execute(text.replace("pack/", PACK + "/")).fetchall())


def ask(text):
    """What the language answers, as (kind, name, number) of versions or positions of steps."""
    done = subprocess.run(
        [BINARY, "--store", ROOT / ".lineage", "--now", manifest(ROOT / "pack0")["as_of"], "query", text, "--output", "json"],
        capture_output=True, text=True, check=True,
    )
    rows = json.loads(done.stdout)["rows"]
    if any(r.get("position") is not None for r in rows):
        return sorted((r["position"],) for r in rows)
    return sorted((r["kind"], r["name"], int(r["version"][1:])) for r in rows)


VERSION = "select v.kind, v.name, v.version from"
VERSIONS = "'pack/versions.parquet' v"
# From what a step used or was about to what it made; a `from` list names inputs of its own event.
LED = """
  led as (
    select i.version_id as source, o.version_id as made, r.kind, i.role
    from 'pack/edges.parquet' i join 'pack/edges.parquet' o using (step) join 'pack/runs.parquet' r using (step)
    where o.direction = 'output'
      and (i.direction = 'input' or i.direction = 'about' and r.kind in ('evaluation', 'audit', 'deployment'))
      and (o.from_inputs is null or i.direction = 'about' or i.position <> o.position
           or list_contains(o.from_inputs, i.index)))"""
QUESTIONS = {
    "models trained on dataset churn-clean": f"""
      with recursive {LED},
      start as (select version_id from {VERSIONS} where kind = 'dataset' and name = 'churn-clean'),
      found as (
        select version_id from start
        union select c.version_id from 'pack/copies.parquet' c join start on original_id = start.version_id
        union select made from led join found on source = version_id
        where led.kind in ('transform', 'training') and role in ('data', 'base'))
      {VERSION} {VERSIONS} where version_id in (
        select made from led join found on source = version_id
        where led.kind = 'training' and role in ('data', 'base')) and kind = 'model'""",
    "models downstream of dataset regions": f"""
      with recursive {LED},
      found as (
        select version_id from {VERSIONS} where name = 'regions'
        union select made from led join found on source = version_id)
      {VERSION} {VERSIONS} join found using (version_id) where kind = 'model'""",
    "datasets upstream of model churn@v2": f"""
      with recursive {LED},
      found as (
        select version_id from {VERSIONS} where name = 'churn' and version = 2
        union select source from led join found on made = version_id)
      {VERSION} {VERSIONS} join found using (version_id) where kind = 'dataset'""",
    "models live in prod": f"""
      {VERSION} {VERSIONS} where list_contains(environments, 'prod')""",
    "models live in prod without a passing audit since their last training": """
      select distinct kind, name, version from 'pack/deployments.parquet' d
      where environment = 'prod' and "left" is null and kind = 'model' and not exists (
        select 1 from 'pack/audits.parquet' a
        where a.version_id = d.version_id and a.passing and a.since_training)""",
    "models without a passing audit since their last training": """
      select kind, name, version from 'pack/unaudited.parquet'""",
    "models deployed to prod": """
      select distinct kind, name, version from 'pack/deployments.parquet' where environment = 'prod'""",
    "audits by ria": """
      select position from 'pack/runs.parquet' where kind = 'audit' and actor = 'ria'""",
    "datasets tagged pii": f"""
      {VERSION} {VERSIONS} where kind = 'dataset' and list_contains(tags, 'pii')""",
    "datasets where origin = 'external'": f"""
      {VERSION} {VERSIONS} where kind = 'dataset' and origin = 'external'""",
    "runs where state = 'fail'": """
      select position from 'pack/runs.parquet'
      where kind in ('transform', 'training', 'evaluation') and state = 'fail'""",
    "models where accuracy > 0.9": """
      with spoken as (
        select e.version_id, m.position, m.number from 'pack/edges.parquet' e
        join 'pack/runs.parquet' r using (step) join 'pack/measurements.parquet' m using (step)
        where m.section = 'metric' and m.key = 'accuracy'
          and (e.direction = 'output' or e.direction = 'about' and r.kind in ('evaluation', 'audit'))),
      latest as (select version_id, arg_max(number, (select time from 'pack/events.parquet' t where t.position = s.position)) as n
        from spoken s group by version_id)
      select kind, name, version from latest join 'pack/versions.parquet' using (version_id)
      where n > 0.9 and kind = 'model'""",
}


def main():
    packs = sorted(p for p in ROOT.iterdir() if (p / "manifest.json").is_file())
    assert len(packs) == 11, packs
    for folder in packs:
        check_files(folder)
        for table in manifest(folder)["tables"]:
            check_table(folder, table)
        check_events(folder)
        check_proofs(folder)
    check_days()
    check_increment()
    leaves = check_events(ROOT / "pack0")
    rows = pq.read_table(ROOT / "pack0/events.parquet").to_pylist()
    assert [(r["position"], r["id"], r["kind"], r["actor"]) for r in rows] == [
        (n, leaf["id"], leaf["kind"], leaf["actor"]) for n, leaf in enumerate(leaves)]
    empty = []
    for question, text in QUESTIONS.items():
        told, found = ask(question), sql(text)
        assert told == found, f"{question}\n  the language: {told}\n  SQL: {found}"
        if not told:
            empty.append(question)
    assert not empty, f"these ask nothing: {empty}"
    # Joins: what edges and judgements point to is there.
    for table, key, other in [
        ("edges", "version_id", "versions"), ("edges", "position", "events"), ("audits", "version_id", "versions"),
        ("audits", "step", "runs"), ("deployments", "version_id", "versions"), ("measurements", "step", "events"),
        ("copies", "original_id", "versions"), ("runs", "step", "events"),
    ]:
        target = {"versions": "version_id", "runs": "step", "events": "position"}[other]
        dangling = sql(f"select count(*) from 'pack/{table}.parquet' t anti join 'pack/{other}.parquet' o on t.{key} = o.{target}")
        assert dangling == [(0,)], (table, key, dangling)
    print(f"{len(packs)} packs, {len(QUESTIONS)} questions")


main()
