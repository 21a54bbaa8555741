#!/usr/bin/env python3
"""Checks what `lineage` hands out: packs, proof files, checkpoints, artifacts.

    python3 verify.py PACK_FOLDER
    python3 verify.py PROOF_FILE
    python3 verify.py CHECKPOINT_FILE --key KEY

    --checkpoint FILE    a checkpoint that you kept; the log must go on from it (may be repeated)
    --key KEY            the public key of the log, or a file with it, from a source that you trust
    --witness-key KEY    the public key of a witness, or a file with it; its cosignatures count (may be repeated)
    --artifact FILE      a file whose sha256 must be named by an event (may be repeated)
    --require-anchor     exit with 1 unless a checkpoint that you kept, or a cosignature, agrees
    --json               one JSON object

It needs nothing but Python 3.8 or later, and was written from FORMAT.md alone.
It cannot check blake3 digests, nor that the rows of Parquet files follow from the events.
Exit codes: 0 consistent, 1 no anchor though one is required, 2 usage, 4 invalid or diverged.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import sys
import zlib

CHUNK = 1 << 20
LEAF_MAX = 61440
SIGNATURES_MAX = 16


class Invalid(Exception):
    """Something is not what FORMAT.md says."""


class Diverged(Exception):
    """The log is not the one of a checkpoint that was kept."""


def sha256(data):
    return hashlib.sha256(data).digest()


def decode64(text):
    """Standard base64 in its one spelling."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, UnicodeError):
        raise Invalid("not base64: %r" % text[:80])
    if base64.b64encode(data).decode("ascii") != text:
        raise Invalid("not the one spelling of base64: %r" % text[:80])
    return data


def decode_hash(text):
    data = decode64(text) if isinstance(text, str) else b""
    if len(data) != 32:
        raise Invalid("a hash has 32 bytes")
    return data


def encode64(data):
    return base64.b64encode(data).decode("ascii")


# --- Ed25519 (RFC 8032), verification only ---------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point_add(p, q):
    """Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def point_multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        scalar >>= 1
    return result


def point_encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def point_decode(data):
    """The point, or None if the bytes are no point in its one encoding."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = point_decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
IDENTITY = point_encode((0, 1, 1, 0))


def is_small(point):
    """Whether the order of a point divides 8."""
    return point_encode(point_multiply(8, point)) == IDENTITY


def ed25519_verify(key, message, signature):
    if len(signature) != 64:
        return False
    a = point_decode(key)
    r = point_decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L or is_small(a) or is_small(r):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    minus = (P - a[0], a[1], a[2], P - a[3])
    return point_encode(point_add(point_multiply(s, BASE), point_multiply(k, minus))) == signature[:32]


# --- keys, notes, checkpoints ----------------------------------------------------------------------------------------


class Key:
    """A public key, NAME+ID+BASE64."""

    def __init__(self, text):
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise Invalid("a public key is written NAME+ID+BASE64")
        self.name, key_id, material = parts[0], parts[1], decode64(parts[2])
        check_name(self.name)
        if len(material) != 33 or material[0] not in (1, 4):
            raise Invalid("a public key has type 1 or 4 and 32 bytes")
        self.type, self.key = material[0], material[1:]
        self.id = sha256(self.name.encode() + b"\n" + material)[:4]
        if self.id.hex() != key_id:
            raise Invalid("the id of the public key is not that of its bytes")
        point = point_decode(self.key)
        if point is None or is_small(point):
            raise Invalid("the public key is no good point of Ed25519")
        self.text = text

    @staticmethod
    def read(text_or_file):
        try:
            return Key(text_or_file)
        except Invalid:
            if not os.path.exists(text_or_file):
                raise
        with open(text_or_file, "rb") as file:
            return Key(file.read().decode("utf-8").rstrip())


def check_name(name):
    size = len(name.encode())
    if not 1 <= size <= 100 or "+" in name or any(c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in name):
        raise Invalid("the name of a key is not valid")


class Checkpoint:
    """A signed checkpoint; nothing is verified yet."""

    def __init__(self, note):
        if any(c < " " and c != "\n" for c in note):
            raise Invalid("a note has no control characters")
        at = note.rfind("\n\n")
        if at < 0 or not note.endswith("\n"):
            raise Invalid("a note has an empty line and ends with a newline")
        self.note, self.body = note, note[: at + 1]
        lines = note[at + 2 : -1].split("\n")
        if len(lines) > SIGNATURES_MAX:
            raise Invalid("a note has at most %d signatures" % SIGNATURES_MAX)
        self.signatures = [signature_of(line) for line in lines]
        lines = self.body.split("\n")
        if len(lines) != 4 or not lines[0] or not re.fullmatch("0|[1-9][0-9]*", lines[1], re.ASCII):
            raise Invalid("a checkpoint has three lines: origin, size, root")
        self.origin, self.size, self.root = lines[0], int(lines[1]), decode_hash(lines[2])
        if self.size >= 2**64:
            raise Invalid("the size of a checkpoint has 64 bits")

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            return Checkpoint(text_of(file.read(), path))

    def verify(self, key):
        """Checks the one signature of a key; the time of a cosignature, else None."""
        if key.type == 1 and key.name != self.origin:
            raise Invalid("the checkpoint is of %s, the key of %s" % (self.origin, key.name))
        own = [data for name, key_id, data in self.signatures if (name, key_id) == (key.name, key.id)]
        if len(own) != 1:
            raise Invalid("it has %d signatures of %s, not one" % (len(own), key.name))
        signature, message, time = own[0], self.body.encode(), None
        if key.type == 4:
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            if time >= 2**63:
                raise Invalid("the time of a cosignature is out of range")
            message = b"cosignature/v1\ntime %d\n" % time + message
        if not ed25519_verify(key.key, message, signature):
            raise Invalid("the signature of %s does not belong to this text" % key.name)
        return time

    def is_signed_by(self, key):
        return any((name, key_id) == (key.name, key.id) for name, key_id, _ in self.signatures)


def signature_of(line):
    match = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", line)
    if not match:
        raise Invalid("a signature line is a dash, a name and base64")
    check_name(match.group(1))
    data = decode64(match.group(2))
    if len(data) < 5:
        raise Invalid("a signature is too short")
    return match.group(1), data[:4], data[4:]


def text_of(data, what):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("%s is no UTF-8" % what)


# --- the tree (RFC 6962, RFC 9162) -----------------------------------------------------------------------------------


def leaf_hash(leaf):
    return sha256(b"\x00" + leaf)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def includes(leaf, index, size, proof, root):
    """RFC 9162, 2.1.3.2."""
    if index >= size:
        return False
    at, last, value = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            value = node_hash(part, value)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            value = node_hash(value, part)
        at, last = at >> 1, last >> 1
    return last == 0 and value == root


def extends(old, old_root, new, new_root, proof):
    """RFC 9162, 2.1.4.2."""
    if old > new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == sha256(b"")
    proof = ([old_root] if old & (old - 1) == 0 else []) + proof
    if not proof:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_value = new_value = proof[0]
    for part in proof[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_value, new_value = node_hash(part, old_value), node_hash(part, new_value)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_value = node_hash(new_value, part)
        at, last = at >> 1, last >> 1
    return last == 0 and old_value == old_root and new_value == new_root


class Tree:
    """A tree that grows leaf by leaf: its complete subtrees, the largest first."""

    def __init__(self):
        self.size, self.parts = 0, []

    def push(self, value):
        size = self.size
        while size & 1:
            value = node_hash(self.parts.pop(), value)
            size >>= 1
        self.parts.append(value)
        self.size += 1

    def root(self):
        if not self.parts:
            return sha256(b"")
        value = self.parts[-1]
        for part in reversed(self.parts[:-1]):
            value = node_hash(part, value)
        return value


# --- what was kept outside -------------------------------------------------------------------------------------------


class Report:
    def __init__(self, options):
        self.options, self.checked, self.notes, self.anchors = options, [], [], []

    def anchor(self, what):
        self.anchors.append(what)

    def signature(self, checkpoint, key, what):
        """Checks a checkpoint with the key that is trusted, and counts its cosignatures."""
        trusted = self.options.key
        if trusted is not None and key is not None and key.text != trusted.text:
            raise Invalid("%s names the key %s, not the one that was given" % (what, key.text))
        key = trusted or key
        if key is None:
            self.notes.append("the signature of the log was not checked: give its public key with --key")
        else:
            checkpoint.verify(key)
            trust = "that was given" if trusted else "that %s itself names; give yours with --key" % what
            self.checked.append("checkpoint: %d events, signed by %s with the key %s" % (checkpoint.size, key.name, trust))
        for witness in self.options.witnesses:
            if checkpoint.is_signed_by(witness):
                time = checkpoint.verify(witness)
                self.anchor("cosigned by %s at %s seconds since 1970" % (witness.name, time))

    def compare(self, kept, root, what):
        """A checkpoint that was kept meets the tree head of its size."""
        if kept.root != root:
            raise Diverged(
                "at %d events: kept outside %s, %s %s" % (kept.size, encode64(kept.root), what, encode64(root))
            )
        self.anchor("a checkpoint kept outside: covers %d events" % kept.size)


# --- proof files -----------------------------------------------------------------------------------------------------


def strict_json(text, what):
    def pairs(items):
        if len({key for key, _ in items}) != len(items):
            raise Invalid("%s has a member twice" % what)
        return dict(items)

    def constant(word):
        raise ValueError(word)

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except (ValueError, RecursionError):
        raise Invalid("%s is no JSON" % what)


def is_same(a, b):
    """Whether two JSON values are the same; 1, 1.0 and true are not."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def members(value, names, what):
    if not isinstance(value, dict) or set(value) != set(names):
        raise Invalid("%s must have the members %s" % (what, ", ".join(names)))
    return [value[name] for name in names]


def instant(text):
    """An RFC 3339 time in UTC as text that sorts like the instant."""
    match = re.fullmatch(r"(\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", text, re.ASCII) if isinstance(text, str) else None
    if not match:
        raise Invalid("%r is no time" % (text,))
    return match.group(1), (match.group(2) or "").ljust(9, "0")


def check_reference(what):
    kind, namespace, name, version, digest = members(
        what, ["kind", "namespace", "name", "version", "digest"], "a reference"
    )
    texts = [text for text in (kind, name, version, digest) if text is not None]
    if not all(isinstance(text, str) for text in texts + [namespace]):
        raise Invalid("the members of a reference are texts or null")


def is_reference(entry, what, leaf):
    """Whether a reference restates an entry of a leaf: nothing in it is more than the leaf says."""
    if not isinstance(entry, dict) or "run" in entry or "event" in entry:
        return False
    digests = [entry.get("digest")] + list(entry.get("digests", []))
    named = what["digest"] is not None and what["digest"] in digests
    stated = {
        "kind": entry.get("kind"),
        "namespace": entry.get("namespace", leaf.get("namespace")),
        "name": entry.get("name"),
        "version": None if named else entry.get("version"),
        "digest": what["digest"] if named else None,
    }
    return stated == what


def check_statement(statement, leaves):
    def leaf_at(position):
        if isinstance(position, bool) or not isinstance(position, int) or position not in leaves:
            raise Invalid("a statement is about an event that is not in the file")
        return leaves[position]

    says = statement.get("says") if isinstance(statement, dict) else None
    if says in ("made", "used", "about"):
        more = {"made": [], "used": ["role"], "about": ["kind", "outcome", "environment"]}[says]
        members(statement, ["says", "event", "what"] + more, "a statement")
        leaf, what = leaf_at(statement["event"]), statement["what"]
        check_reference(what)
        entries = leaf.get({"made": "outputs", "used": "inputs", "about": "about"}[says], [])
        if says == "used":
            entries = [entry for entry in entries if entry.get("role", "data") == statement["role"]]
        if says == "about":
            for name in more:
                if leaf.get(name) != statement[name]:
                    raise Invalid("the %s of event %d is not as stated" % (name, statement["event"]))
        if not any(is_reference(entry, what, leaf) for entry in entries):
            raise Invalid("event %d does not say what is stated of it" % statement["event"])
    elif says == "code":
        members(statement, ["says", "event", "code"], "a statement")
        if not isinstance(statement["code"], dict) or not is_same(leaf_at(statement["event"]).get("code"), statement["code"]):
            raise Invalid("the code of event %d is not as stated" % statement["event"])
    elif says == "step":
        members(statement, ["says", "events"], "a statement")
        events = statement["events"]
        if not isinstance(events, list) or len(events) < 2:
            raise Invalid("a step has two events or more")
        runs = {tuple(leaf_at(at).get(name) for name in ("namespace", "job", "run")) for at in events}
        if len(runs) != 1 or runs.pop()[2] is None:
            raise Invalid("the events of a step are of one run")
    elif says == "before":
        members(statement, ["says", "first", "then"], "a statement")
        first, then = leaf_at(statement["first"]), leaf_at(statement["then"])
        if statement["first"] >= statement["then"] or instant(first.get("time")) > instant(then.get("time")):
            raise Invalid("event %d is not before event %d" % (statement["first"], statement["then"]))
    else:
        raise Invalid("a statement that this program does not know: %r" % (says,))


def check_proof(path, report):
    with open(path, "rb") as file:
        proof = strict_json(text_of(file.read(), path), path)
    if not isinstance(proof, dict) or proof.get("schema") != "lineage.proof/1":
        raise Invalid("%s is no lineage.proof/1" % path)
    _, about, key, note, events, statements, text = members(
        proof, ["schema", "about", "key", "checkpoint", "events", "statements", "text"], path
    )
    check_reference(about)
    if not (isinstance(key, str) and isinstance(note, str) and isinstance(events, list)):
        raise Invalid("%s has members of wrong types" % path)
    if not (isinstance(statements, list) and isinstance(text, list) and all(isinstance(line, str) for line in text)):
        raise Invalid("%s has members of wrong types" % path)
    checkpoint = Checkpoint(note)
    report.signature(checkpoint, Key(key), "the file")
    leaves, before = {}, -1
    for event in events:
        position, leaf, parts = members(event, ["position", "leaf", "proof"], "an event")
        if isinstance(position, bool) or not isinstance(position, int) or position <= before:
            raise Invalid("the positions of the events do not ascend")
        if not (isinstance(leaf, str) and isinstance(parts, list)):
            raise Invalid("an event has members of wrong types")
        hashes = [decode_hash(part) for part in parts]
        if not includes(leaf_hash(leaf.encode()), position, checkpoint.size, hashes, checkpoint.root):
            raise Invalid("event %d is not in the tree of the checkpoint" % position)
        leaves[position], before = strict_json(leaf, "event %d" % position), position
        if not isinstance(leaves[position], dict):
            raise Invalid("event %d is no object" % position)
    report.checked.append("events: %d, each included at its position" % len(leaves))
    for statement in statements:
        check_statement(statement, leaves)
    if not any(statement.get("what") == about for statement in statements):
        raise Invalid("no statement is about what the file says it is about")
    report.checked.append("statements: %d, each follows from these events" % len(statements))
    for kept in report.options.kept:
        if kept.size == checkpoint.size:
            report.compare(kept, checkpoint.root, "in the file")
        else:
            report.notes.append(
                "a checkpoint of %d events was kept, the file has one of %d: that one goes on from the other "
                "cannot be told from the file; `lineage prove --checkpoint FILE` proves under yours" % (kept.size, checkpoint.size)
            )
    report.notes.append("presence is proven; that no other events were recorded is not, without the whole log")
    return (event["leaf"].encode() for event in events)


# --- packs -----------------------------------------------------------------------------------------------------------


def check_pack(folder, report):
    with open(os.path.join(folder, "manifest.json"), "rb") as file:
        manifest = strict_json(text_of(file.read(), "manifest.json"), "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("schema") != "lineage.pack/1":
        raise Invalid("manifest.json is no lineage.pack/1")
    try:
        return check_contents(folder, manifest, report)
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid("manifest.json lacks something or has it of a wrong type: %s" % error)


# What every pack has beside its manifest, and the members of a manifest; null where one does not apply.
ALWAYS = ("README.md", "index.html", "verify.py")
MEMBERS = "schema report arguments environments tool log as_of queries tables files events proofs notes".split()

# The tables of each report.
TABLES = {
    "full": "approvals audits copies deployments edges erasures evaluations events measurements runs unaudited versions",
    "model-inventory": "audits deployments evaluations models",
    "training-data": "training_data",
    "deployments": "approvals audits deployments erasures",
    "unaudited": "audits unaudited",
    "erasure-impact": "erasure_impact subject_events",
    "technical-documentation": "changes gaps steps tests training_data version_chain",
    "records-of-processing": "processing",
}


def check_members(manifest, is_signed):
    """Whether the manifest names every file that a pack of its kind must have."""
    for name in MEMBERS:
        if name not in manifest:
            raise Invalid("manifest.json has no member %s" % name)
    files = set(entry["path"] for entry in manifest["files"])

    def must_have(path, why):
        if path not in files:
            raise Invalid("the pack has no %s, %s" % (path, why))

    for path in ALWAYS:
        must_have(path, "which every pack has")
    tables = dict((table["name"], table["files"]) for table in manifest["tables"])
    for name in demanded(manifest):
        if name not in tables:
            raise Invalid("the pack has no table %s, which the report %s has" % (name, manifest["report"]))
    for name, paths in tables.items():
        if not paths and "partition" not in manifest["arguments"]:
            raise Invalid("the table %s has no file" % name)
        for path in paths:
            must_have(path, "a file of the table %s" % name)
    events, proofs = manifest["events"], manifest["proofs"]
    if events is not None:
        must_have(events["path"], "the events")
    elif manifest["arguments"].get("events") != "none":
        raise Invalid("the pack has no events.ndjson.gz, and was not asked to be without")
    if proofs is not None:
        must_have(proofs["checkpoint"], "the checkpoint")
        must_have(proofs["key"], "the key of the log")
        if proofs["tiles"] is None and manifest["log"]["size"] > 0:
            raise Invalid("the pack has no tiles, and a checkpoint of events")
    elif is_signed:
        raise Invalid("the pack has no checkpoint, and the log is signed, as its key was given")


def demanded(manifest):
    """The tables that the report has, or those that its questions are answered in."""
    if manifest["report"] != "query":
        if manifest["report"] not in TABLES:
            raise Invalid("there is no report %s" % manifest["report"])
        return TABLES[manifest["report"]].split()
    exact = [asked["table"] for asked in manifest["queries"] if asked["exact"]]
    if not exact:
        raise Invalid("the pack has no question that it answers")
    return exact


def check_contents(folder, manifest, report):
    check_files(folder, manifest)
    check_members(manifest, report.options.key is not None)
    report.checked.append("files: %d, size and sha256, all that the report has, and no others" % len(manifest["files"]))
    log, events, proofs = manifest["log"], manifest["events"], manifest["proofs"]
    first, size = log["first"], log["size"]
    checkpoint = Checkpoint.read(inside(folder, proofs["checkpoint"])) if proofs else None
    if checkpoint is not None:
        report.signature(checkpoint, pack_key(folder, proofs), "the pack")
        if checkpoint.size < size:
            raise Invalid("the checkpoint covers %d events, the pack has %d" % (checkpoint.size, size))
    waiting = sorted(report.options.kept, key=lambda kept: kept.size)
    if events is None:
        report.notes.append("the pack was made without events: only its files were checked")
        return iter(())
    if (events["first"], events["count"]) != (first, size - first):
        raise Invalid("the events are not those from %d to %d" % (first, size))
    path = inside(folder, events["path"])
    tiles = Tiles(folder, proofs["tiles"], checkpoint.size) if checkpoint and proofs["tiles"] else None
    if tiles is not None:
        waiting = check_tree(path, first, size, log["head"], checkpoint, tiles, waiting, report)
    elif first == 0:
        waiting = check_whole(path, size, log["head"], checkpoint, waiting, report)
    else:
        count = sum(1 for _ in read_leaves(path, first, size))
        report.checked.append("events: %d, without a gap" % count)
        report.notes.append("the events begin at %d and there are no tiles: the tree was not checked" % first)
    for kept in waiting:
        report.notes.append("a checkpoint of %d events was kept, which is more than the pack covers" % kept.size)
    return (leaf for _, leaf in read_leaves(path, first, size))


def pack_key(folder, proofs):
    return Key.read(inside(folder, proofs["key"]))


def inside(folder, path):
    """A path that the manifest names, which must stay in the pack."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path:
        raise Invalid("%r is no path in a pack" % path)
    return os.path.join(folder, *parts)


def check_files(folder, manifest):
    named = {}
    for entry in manifest["files"]:
        if entry["path"] in named:
            raise Invalid("%s is named twice" % entry["path"])
        named[entry["path"]] = entry
    found = set()
    for root, folders, files in os.walk(folder):
        for name in files + folders:
            path = os.path.join(root, name)
            if os.path.islink(path):
                raise Invalid("%s is a symbolic link" % path)
        for name in files:
            found.add(os.path.relpath(os.path.join(root, name), folder).replace(os.sep, "/"))
    found.discard("manifest.json")
    for path in sorted(found - set(named)):
        raise Invalid("%s is not named by the manifest" % path)
    for path in sorted(named):
        if path not in found:
            raise Invalid("%s is missing" % path)
        size, digest = hash_file(inside(folder, path))
        if size != named[path]["size"] or digest != named[path]["sha256"]:
            raise Invalid("%s is not the file that the manifest names" % path)


def hash_file(path):
    hasher, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            hasher.update(chunk)
            size += len(chunk)
    return size, hasher.hexdigest()


def read_leaves(path, first, size):
    """The leaves with their positions, which must follow each other."""
    expected = first
    try:
        with gzip.open(path, "rb") as lines:
            while True:
                line = lines.readline(LEAF_MAX + 100)
                if not line:
                    break
                prefix = b'{"position":%d,"leaf":' % expected
                if not (line.startswith(prefix) and line.endswith(b"}\n")):
                    raise Invalid("event %d does not follow" % expected)
                yield expected, line[len(prefix) : -2]
                expected += 1
    except (OSError, EOFError, zlib.error) as error:
        raise Invalid("%s cannot be unpacked: %s" % (path, error))
    if expected != size:
        raise Invalid("the events end before %d, not %d" % (expected, size))


def meet(waiting, tree, report):
    """Compares the kept checkpoints of the size that the tree has now; those that are left."""
    while waiting and waiting[0].size == tree.size:
        report.compare(waiting[0], tree.root(), "in the pack")
        waiting = waiting[1:]
    return waiting


def check_head(tree, size, head, report):
    if tree.size == size and head is not None and decode_hash(head) != tree.root():
        raise Invalid("the head of the manifest is not that of the events")


def check_whole(path, size, head, checkpoint, waiting, report):
    """All leaves from the first on: their root is computed."""
    tree = Tree()
    waiting = meet(waiting, tree, report)
    for _, leaf in read_leaves(path, 0, size):
        tree.push(leaf_hash(leaf))
        waiting = meet(waiting, tree, report)
    check_head(tree, size, head, report)
    report.checked.append("events: %d, without a gap, tree head %s" % (size, encode64(tree.root())))
    if checkpoint is not None and checkpoint.size == size:
        if checkpoint.root != tree.root():
            raise Invalid("the tree head of the checkpoint is not that of the events")
    elif checkpoint is not None:
        report.notes.append("the checkpoint covers more than the pack, and there are no tiles to compare")
    return waiting


class Tiles:
    """The tiles of the tree of a size, below a folder of the pack."""

    def __init__(self, folder, path, size):
        self.folder, self.path, self.size = folder, path, size

    def read(self, level, index):
        rows = self.size >> (8 * level)
        width = min(rows - index * 256, 256)
        groups, rest = ["%03d" % (index % 1000)], index // 1000
        while rest:
            groups.insert(0, "x%03d" % (rest % 1000))
            rest //= 1000
        name = "%s/tile/%d/%s" % (self.path.rstrip("/"), level, "/".join(groups))
        if width < 256:
            name += ".p/%d" % width
        try:
            with open(inside(self.folder, name), "rb") as file:
                data = file.read()
        except OSError:
            raise Invalid("the tile %s is missing" % name)
        if len(data) != 32 * width:
            raise Invalid("the tile %s has a wrong length" % name)
        return [data[at : at + 32] for at in range(0, len(data), 32)]


def check_tree(path, first, size, head, checkpoint, tiles, waiting, report):
    """The tiles have the root of the checkpoint, and the leaves are those of the tiles."""
    tree, levels, leaves, tile = Tree(), [], read_leaves(path, first, size), []
    waiting = meet(waiting, tree, report)
    for position in range(checkpoint.size):
        if position % 256 == 0:
            tile = tiles.read(0, position // 256)
        value = tile[position % 256]
        if first <= position < size and leaf_hash(next(leaves)[1]) != value:
            raise Invalid("event %d is not the one that the tree covers" % position)
        tree.push(value)
        if position % 256 == 255:
            subtree(levels, 0, tile)
        waiting = meet(waiting, tree, report)
        check_head(tree, size, head, report)
    # Reading on finds what should not be there.
    for _ in leaves:
        raise Invalid("there are more events than the manifest says")
    if tree.root() != checkpoint.root:
        raise Invalid("the tiles do not have the tree head of the checkpoint")
    for level, hashes in enumerate(levels, 1):
        for index in range((len(hashes) + 255) // 256):
            if tiles.read(level, index) != hashes[index * 256 : index * 256 + 256]:
                raise Invalid("the tile %d/%d does not follow from the tiles below" % (level, index))
    report.checked.append("events: %d, without a gap, each the one that the tree covers" % (size - first))
    report.checked.append("tree: %d leaves in tiles, tree head %s" % (checkpoint.size, encode64(tree.root())))
    return waiting


def subtree(levels, level, tile):
    """Adds the root of a full tile to the level above."""
    while len(tile) > 1:
        tile = [node_hash(tile[at], tile[at + 1]) for at in range(0, len(tile), 2)]
    if level == len(levels):
        levels.append([])
    levels[level].append(tile[0])
    if len(levels[level]) % 256 == 0:
        subtree(levels, level + 1, levels[level][-256:])


# --- the command -----------------------------------------------------------------------------------------------------


class Options:
    def __init__(self, arguments):
        self.key, self.kept, self.witnesses, self.artifacts = None, [], [], []
        self.require_anchor = self.json = False
        paths, rest = [], list(arguments)
        while rest:
            word = rest.pop(0)
            if word in ("--key", "--checkpoint", "--witness-key", "--artifact"):
                if not rest:
                    raise ValueError("%s needs a value" % word)
                self.take(word, rest.pop(0))
            elif word == "--require-anchor":
                self.require_anchor = True
            elif word == "--json":
                self.json = True
            elif word.startswith("--"):
                raise ValueError("there is no option %s" % word)
            else:
                paths.append(word)
        if len(paths) != 1:
            raise ValueError("name one pack, proof file or checkpoint")
        self.path = paths[0]

    def take(self, word, value):
        if word == "--key":
            self.key = Key.read(value)
        elif word == "--checkpoint":
            self.kept.append(Checkpoint.read(value))
        elif word == "--witness-key":
            self.witnesses.append(Key.read(value))
        else:
            self.artifacts.append(value)


def check(options, report):
    if os.path.isdir(options.path):
        return check_pack(options.path, report)
    with open(options.path, "rb") as file:
        begins = file.read(1)
    if begins == b"{":
        return check_proof(options.path, report)
    checkpoint = Checkpoint.read(options.path)
    report.signature(checkpoint, None, "the checkpoint")
    for kept in options.kept:
        if kept.size == checkpoint.size:
            report.compare(kept, checkpoint.root, "in the file")
    return iter(())


def check_artifacts(options, leaves, report):
    wanted = {b'"sha256:%s"' % hash_file(path)[1].encode(): path for path in options.artifacts}
    for leaf in leaves if wanted else ():
        for digest in [digest for digest in wanted if digest in leaf]:
            report.checked.append("artifact: %s is named by an event" % wanted.pop(digest))
    for path in wanted.values():
        raise Invalid("no event names the sha256 of %s" % path)


def main(arguments):
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    verdict, problem, report = "CONSISTENT, UNANCHORED", None, None
    try:
        options = Options(arguments)
        report = Report(options)
        check_artifacts(options, check(options, report), report)
        if report.anchors:
            verdict = "ANCHORED (%d)" % len(report.anchors)
    except ValueError as error:
        print("error: %s" % error, file=sys.stderr)
        return 2
    except Diverged as error:
        verdict, problem = "DIVERGED", str(error)
    except (Invalid, OSError) as error:
        verdict, problem = "INVALID", str(error)
    code = 4 if problem else 0
    if code == 0 and options.require_anchor and not report.anchors:
        code = 1
    tell(verdict, problem, report, "--json" in arguments)
    return code


def tell(verdict, problem, report, as_json):
    checked, anchors, notes = (report.checked, report.anchors, report.notes) if report else ([], [], [])
    if as_json:
        print(json.dumps({"verdict": verdict, "problem": problem, "checked": checked, "anchors": anchors, "notes": notes}))
        return
    for word, lines in (("checked ", checked), ("anchor  ", anchors), ("note    ", notes)):
        for line in lines:
            print(word, line)
    print("%s%s" % (verdict, ": " + problem if problem else ""))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
