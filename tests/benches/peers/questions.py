#!/usr/bin/env python3
"""Writes the questions and their expected answers for one history: questions.py BENCH FILE.ndjson EXPECTED.json

BENCH is the folder with the plain-Python oracle, whose graph answers. Four of its questions are not what the language asks by
itself, so they are adapted here, for all alike (`adapt.py` has the same in SQL and Cypher): artifacts without the slots of
deployments (q3a), liveness and audits judged by version (q4v), the shortest path to a model version (q5m), and versions instead
of names for each actor (q6v).
"""
import json
import sys
from collections import defaultdict


def adapted(oracle):
    class Adapted(oracle.Graph):
        def is_artifact(self, node):
            return self.nodes[node][0] != "deployment"

        def q3a(self, name, depth=None):
            return sum(map(self.is_artifact, self.reach(self.versions("dataset", name), self.fwd, depth)))

        def q4v(self, until=None):
            until = self.tmax if until is None else until
            slot, trained, passed = {}, {}, {}
            for e in oracle.read(self.path):
                t = oracle.ms(e["time"])
                if t > until:
                    continue
                key = lambda x: (x["kind"], x["name"], x["version"])
                if e["kind"] in ("deployment", "retire") and e["env"] == "prod":
                    place = (e["outputs"] if e["kind"] == "deployment" else e["inputs"])[0]["name"]
                    model = key(e["inputs"][0]) if e["kind"] == "deployment" else None
                    slot[place] = max(slot.get(place, (-1, None)), (t, model), key=lambda pair: pair[0])
                elif e["kind"] == "training":
                    trained.update({key(x): max(t, trained.get(key(x), -1)) for x in e["outputs"]})
                elif e["kind"] == "audit" and e["outcome"] == "pass":
                    passed.update({key(x): max(t, passed.get(key(x), -1)) for x in e["inputs"]})
            live = {model for _, model in slot.values() if model}
            return sum(passed.get(m, -2) < trained.get(m, -1) for m in live)

        def q5m(self, name, model, version):
            return self.dist(self.versions("dataset", name), {self.ids["model", model, version]}, self.fwd)

        def q6v(self, tag):
            per = defaultdict(int)
            for node in self.reach(self.tagged[tag], self.fwd):
                if node in self.train:
                    per[self.train[node]] += 1
            return dict(sorted(per.items()))
    return Adapted


def main(bench, path, out):
    sys.path.insert(0, bench)
    import oracle
    graph = adapted(oracle)(path)
    graph.path = path
    p = oracle.params(graph)
    # The model of the deployment that the oracle asks for.
    deployed = graph.ids["deployment", p["dep"][0], p["dep"][1]]
    model = next(graph.nodes[n] for n in sorted(graph.bwd[deployed]) if graph.nodes[n][0] == "model")
    queries = {
        "Q1_hub": ["q1", p["hub"]], "Q1_rare": ["q1", p["rare"]], "Q2": ["q2", *p["model"]],
        "Q3_3": ["q3a", p["hub"], 3], "Q3_all": ["q3a", p["hub"], None], "Q4": ["q4v", None],
        "Q5": ["q5m", p["src"], *model[1:]], "Q6": ["q6v", p["tag"]], "Q7": ["q4v", p["asof_ms"]],
    }
    answers = {name: getattr(graph, q[0])(*q[1:]) for name, q in queries.items()}
    found = {"events": graph.n, "artifacts": len(graph.nodes), "edges": sum(map(len, graph.fwd)), "params": p,
             "queries": queries, "answers": answers}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1, ensure_ascii=False, sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
