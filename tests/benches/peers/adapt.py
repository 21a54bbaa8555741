#!/usr/bin/env python3
"""Runs one adapter of another database with the adapted questions: adapt.py PEER.py ARGUMENTS...

It stands in for the Python interpreter of the runner (BENCH_PY_SQLITE and so on); see `questions.py` for what is adapted.
"""
import os
import runpy
import sys

LIVE = """WITH s AS (SELECT a.name, e.kind AS k, e.seq, row_number() OVER (PARTITION BY a.name ORDER BY e.time DESC) AS rn
 FROM event e JOIN io ON io.event=e.seq JOIN artifact a ON a.id=io.artifact AND a.kind='deployment'
 WHERE e.kind IN ('deployment','retire') AND e.env='prod' AND e.time<=%(t)d),
 live AS (SELECT DISTINCT m.id FROM s JOIN io ON io.event=s.seq JOIN artifact m ON m.id=io.artifact AND m.kind='model'
 WHERE s.rn=1 AND s.k='deployment'),
 lst AS (SELECT live.id, max(e.time) AS t FROM live JOIN io ON io.artifact=live.id AND io.role=1 JOIN event e ON e.seq=io.event
 WHERE e.kind='training' AND e.time<=%(t)d GROUP BY live.id),
 ok AS (SELECT live.id, max(e.time) AS t FROM live JOIN io ON io.artifact=live.id AND io.role=0 JOIN event e ON e.seq=io.event
 WHERE e.kind='audit' AND e.outcome='pass' AND e.time<=%(t)d GROUP BY live.id)
 SELECT count(*) FROM live LEFT JOIN lst ON lst.id=live.id LEFT JOIN ok ON ok.id=live.id
 WHERE coalesce(ok.t,-2)<coalesce(lst.t,-1)"""


def sql_of(original, s):
    def sql(q):
        if q[0] == "q3a":
            text = original(["q3", *q[1:]])
            # The last FROM is the one of the answer.
            head, _, tail = text.rpartition("SELECT count(")
            return head + "SELECT count(" + tail.split(" FROM r")[0].replace("DISTINCT id", "DISTINCT r.id") + " FROM r JOIN artifact x ON x.id=r.id WHERE x.kind<>'deployment'"
        if q[0] == "q4v":
            return LIVE % {"t": 2 ** 62 if q[1] is None else q[1]}
        if q[0] == "q5m":
            return original(["q5", *q[1:]]).replace("kind='deployment'", "kind='model'")
        if q[0] == "q6v":
            return original(["q6", q[1]]).replace("count(DISTINCT m.name)", "count(DISTINCT m.id)")
        return original(q)
    return sql


def kuzu_ask(original):
    def ask(self, c, q):
        def one(text, **p):
            return c.execute(text, p).get_next()[0]
        if q[0] == "q3a":
            return one("MATCH (a:A {kind:'dataset',name:$n})-[:D* SHORTEST 1..%d]->(b:A) WHERE b.kind<>'deployment' "
                       "RETURN count(DISTINCT b.id)" % (q[2] or 900), n=q[1])
        if q[0] == "q5m":
            return one("MATCH (b:A {kind:'model',name:$p,version:$v})<-[d:D* SHORTEST 1..900]-(a:A) WHERE a.kind='dataset' "
                       "AND a.name=$n RETURN min(length(d))", n=q[1], p=q[2], v=q[3])
        if q[0] == "q6v":
            rows = c.execute("MATCH (t:T {tag:$t})<-[:HAS]-(a:A)-[:D* SHORTEST 1..900]->(m:A) WHERE m.kind='model' WITH DISTINCT m "
                             "MATCH (e:E)-[:Gen]->(m) WHERE e.kind='training' RETURN e.agent, count(DISTINCT m.id)", {"t": q[1]})
            return dict(sorted(map(tuple, rows.get_all())))
        if q[0] != "q4v":
            return original(self, c, q)
        until = {"T": 1 << 60 if q[1] is None else q[1]}
        newest = {}
        for slot, t in c.execute(
                "MATCH (e:E)-[:Gen]->(d:A) WHERE e.kind='deployment' AND e.env='prod' AND e.time<=$T RETURN d.name AS s, e.time AS t "
                "UNION ALL MATCH (e:E)-[:Used]->(d:A) WHERE e.kind='retire' AND e.env='prod' AND e.time<=$T RETURN d.name AS s, "
                "e.time AS t", until).get_all():
            newest[slot] = max(t, newest.get(slot, -1))
        live = {m for s, t, m in c.execute("MATCH (d:A)<-[:Gen]-(e:E)-[:Used]->(m:A) WHERE e.kind='deployment' AND e.env='prod' AND "
                                           "e.time<=$T RETURN d.name, e.time, m.id", until).get_all() if newest[s] == t}
        last = dict(map(tuple, c.execute("MATCH (e:E)-[:Gen]->(m:A) WHERE e.kind='training' AND e.time<=$T "
                                         "RETURN m.id, max(e.time)", until).get_all()))
        passed = dict(map(tuple, c.execute("MATCH (e:E)-[:Used]->(m:A) WHERE e.kind='audit' AND e.outcome='pass' AND e.time<=$T "
                                           "RETURN m.id, max(e.time)", until).get_all()))
        return sum(passed.get(m, -2) < last.get(m, -1) for m in live)
    return ask


def main():
    peer, sys.argv = sys.argv[1], sys.argv[1:]
    sys.path.insert(0, os.path.dirname(peer))
    import sqlq
    sqlq.sql = sql_of(sqlq.sql, sqlq.s)
    shape = sqlq.shape
    sqlq.shape = lambda q, rows: shape(["q6"], rows) if q[0] == "q6v" else shape(["q1"], rows)
    module = runpy.run_path(peer, run_name="peer")
    if peer.endswith("peer_kuzu.py"):
        module["Peer"].ask = kuzu_ask(module["Peer"].ask)
    import common
    common.main(module["Peer"]())


main()
