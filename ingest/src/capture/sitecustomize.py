# Tells the recorder which addresses and databases a Python program uses; then steps aside for the program's own
# sitecustomize, if there is one. Nothing in here may disturb the program.
import os
import sys


def _strip(text):
    # What stands behind ? # or ; and before @ may be a secret.
    for mark in "?#;":
        text = text.split(mark, 1)[0]
    scheme, found, rest = text.partition("://")
    if not found:
        return text
    host, slash, path = rest.partition("/")
    return scheme + found + host.rpartition("@")[2] + slash + path


def _watch(target):
    told = set()

    def tell(kind, text):
        text = "".join(c if c.isprintable() else "?" for c in text)[:2000]
        if (kind, text) in told or len(told) >= 1000:
            return
        told.add((kind, text))
        line = (kind + "\t" + text + "\n").encode("utf-8", "replace")
        out = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(out, line)
        finally:
            os.close(out)

    def address(arguments):
        tell("url", _strip(str(arguments[0])))

    def sent(arguments):
        connection, data = arguments[0], arguments[1]
        line = bytes(data[:4096]).split(b"\r\n", 1)[0].split(b" ")
        if len(line) == 3 and line[2].startswith(b"HTTP/"):
            path = line[1].decode("ascii", "replace")
            secure = hasattr(connection, "key_file") or "HTTPS" in type(connection).__name__
            scheme, usual = ("https", 443) if secure else ("http", 80)
            host = str(connection.host)
            if connection.port not in (usual, None):
                host += ":" + str(connection.port)
            tell("url", _strip(path if "://" in path else scheme + "://" + host + path))

    def database(arguments):
        name = arguments[0]
        name = os.fsdecode(name) if isinstance(name, (bytes, os.PathLike)) else str(name)
        tell("sqlite", _strip(name if "://" in name or name.startswith(("file:", ":")) else os.path.abspath(name)))

    told_by = {"urllib.Request": address, "http.client.send": sent, "sqlite3.connect": database}

    def hook(event, arguments):
        handler = told_by.get(event)
        if handler is not None:
            try:
                handler(arguments)
            except Exception:
                pass

    # A hook hears tens of thousands of events of a usual program, so it waits for a module that has something to tell.
    telling = ("urllib.request", "http.client", "sqlite3", "_sqlite3")

    class Waiting:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name in telling:
                start()

    def start():
        try:
            sys.meta_path.remove(Waiting)
        except ValueError:
            return
        sys.addaudithook(hook)

    sys.meta_path.insert(0, Waiting)
    if any(name in sys.modules for name in telling):
        start()


def _step_aside():
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    from importlib import util
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if hasattr(sys, "addaudithook") and os.environ.get("LINEAGE_PYTHON"):
    try:
        _watch(os.environ["LINEAGE_PYTHON"])
    except Exception:
        pass
if sys.version_info >= (3, 4):
    _step_aside()
