"""What schemathesis cannot know of yonder: valid updates, what bytes mean, and which complaints are none."""

import random
import re
from urllib.parse import unquote

import schemathesis
from schemathesis.transport.serialization import Binary

# Yjs updates in V1 encoding: nothing; two texts of one client, the second behind the first; an array; a deletion.
UPDATES = [
    bytes.fromhex(update)
    for update in (
        "0000",
        "01010100040101740161 00",
        "010101018401000162 00",
        "01010200080104 6c697374017d07 00",
        "000101010001",
    )
]
# An awareness update: client 7, clock 1, {"name":"ann"}.
AWARENESS = b"\x01\x07\x01\x0e" + b'{"name":"ann"}'


def framed(*parts: bytes) -> bytes:
    """lib0 frames: a varUint length and its bytes (all of ours are short)."""
    return b"".join(bytes([len(part)]) + part for part in parts)


# Parameters of reads that go together: by themselves they rarely meet.
READS = [
    {"offset": "snapshot"},
    {"offset": "snapshot", "stale": "ok"},
    {"offset": "now"},
    {"offset": "now", "live": "long-poll"},
    {"offset": "now", "live": "long-poll", "presence": "now"},
    {"offset": "now", "live": "sse"},
    {"offset": "-1", "live": "sse", "presence": "now"},
    {"offset": "now", "awareness": "default"},
    {"offset": "now", "live": "sse", "awareness": "default"},
]
# What `Stream-Next-Offset` of documents said.
offsets = []
# Documents that are there from the start and stay: what would delete one of them deletes another one.
STANDING = {"notes", "team/plan", "empty"}
# Versions that were made: (document, version).
versions = []


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes valid requests meet what there is. Invalid ones go out as they were generated."""
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return
    # Drawn from what was generated, so that a seed replays it.
    chance = random.Random(repr((case.path_parameters, case.query, case.body)))
    path = case.path_parameters
    if case.method == "DELETE" and not case.query and "version" not in path:
        for name in path.keys() & {"id", "path"}:
            if path[name] in STANDING:
                path[name] = "short-lived"
    known = (path.get("id"), path.get("version")) in versions
    if "version" in path and versions and not known and chance.random() < 0.7:
        path["id"], path["version"] = chance.choice(versions)
    if case.operation.definition.raw.get("operationId") == "readStream" and chance.random() < 0.3:
        case.query = dict(chance.choice(READS))
        if offsets and chance.random() < 0.5 and case.query["offset"] == "now" and "awareness" not in case.query:
            case.query["offset"] = chance.choice(offsets)
    if isinstance(case.body, (bytes, Binary)) and chance.random() < 0.7:
        case.body = Binary(body(chance, case))


def body(chance, case):
    """Updates, whole or damaged in one place."""
    updates = [chance.choice(UPDATES) for _ in range(chance.randint(1, 3))]
    if case.path.endswith("/update"):
        made = updates[0]
    elif case.query and "awareness" in case.query:
        made = framed(AWARENESS)
    else:
        made = framed(*updates)
    if chance.random() < 0.2:
        at = chance.randrange(len(made))
        made = made[:at] + bytes([chance.randrange(256)]) + made[at + 1 :]
    return made


@schemathesis.hook
def after_call(context, case, response):
    if case.path.endswith("/versions") and response.status_code == 201:
        versions.append((case.path_parameters["id"], response.json()["versionId"]))
        del versions[:-20]
    if case.path.startswith("/v1/") and "awareness" not in (case.query or {}):
        offsets.extend(response.headers.get("stream-next-offset", []))
        del offsets[:-20]


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    """Drops names that are short enough, and too long as keys (see `DocName` in the description)."""
    names = [unquote(str(value)) for name, value in (path_parameters or {}).items() if name in ("id", "path", "again")]
    return all(len(name) > 200 or key_length(name.encode(errors="replace")) <= 180 for name in names)


def key_length(name: bytes) -> int:
    """A run of other bytes than these is a key's two underscores and base 32 between them; 20 are left for the service."""
    runs = re.split(rb"[a-z0-9-]+", name)
    return len(name) + sum(2 + -(-len(run) * 8 // 5) - len(run) for run in runs if run)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """`DELETE /doc/new` deletes a document called `new`, so that path rightly takes a method of /doc/{id}."""
    return not (type(failure).__name__ == "AllowHeaderMismatch" and case.path == "/doc/new")


@schemathesis.check
def every_answer_can_be_read_by_pages(ctx, response, case):
    assert response.headers.get("access-control-allow-origin") == ["*"], "no access-control-allow-origin: *"


@schemathesis.check
def errors_have_a_code(ctx, response, case):
    """Also those that no operation declares, such as 404 and 405 of what is not routed."""
    if response.status_code < 400 or case.method.upper() == "HEAD":
        return
    error = response.json()["error"]
    assert set(error) == {"code", "message"} and error["code"].isupper() and error["message"]


@schemathesis.check
def bytes_are_what_they_should_be(ctx, response, case):
    """A catch-up read and a long-poll are whole lib0 frames."""
    octets = response.headers.get("content-type") == ["application/octet-stream"]
    if case.operation.definition.raw.get("operationId") != "readStream" or response.status_code != 200 or not octets:
        return
    if str((case.query or {}).get("offset", "")).endswith("_snapshot") or "_snapshot" in response.request.url:
        return
    left = response.content
    while left:
        length = shift = used = 0
        while True:
            byte = left[used]
            length |= (byte & 127) << shift
            used, shift = used + 1, shift + 7
            if byte < 128:
                break
        assert used + length <= len(left), "the last frame is cut off"
        left = left[used + length :]
