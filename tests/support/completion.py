"""What an editor offers, asked of pyright's language server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import warmcache


def completions(source: str, folder: Path) -> set[str]:
    """Return what is offered at the end of ``source``, as a file in ``folder``."""
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"extraPaths": [str(Path(warmcache.__file__).parents[1])]}), encoding="utf-8"
    )
    uri = (folder / "file.py").as_uri()
    lines = source.split("\n")
    with subprocess.Popen(
        [sys.executable, "-c", "import pyright.langserver as s; s.main('--stdio')"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            _ask(server, 1, "initialize", processId=None, capabilities={}, rootUri=folder.as_uri())
            _tell(server, "initialized")
            document = {"uri": uri, "languageId": "python", "version": 1, "text": source}
            _tell(server, "textDocument/didOpen", textDocument=document)
            found = _ask(
                server,
                2,
                "textDocument/completion",
                textDocument={"uri": uri},
                position={"line": len(lines) - 1, "character": len(lines[-1])},
            )
            _ask(server, 3, "shutdown")
            _tell(server, "exit")
            server.wait(20)
        finally:
            server.kill()
    return {item["label"] for item in found["items"]}


def _tell(server: subprocess.Popen[bytes], method: str, **params: Any) -> None:
    _send(server, {"method": method, "params": params})


def _ask(server: subprocess.Popen[bytes], number: int, method: str, **params: Any) -> Any:
    """Send a request, and return the answer; what the server asks meanwhile is answered by None."""
    _send(server, {"id": number, "method": method, "params": params})
    while True:
        said = _received(server)
        if said.get("id") == number and "method" not in said:
            return said["result"]
        if "id" in said:
            asked = said.get("params", {}).get("items", [])
            _send(server, {"id": said["id"], "result": [None] * len(asked)})


def _send(server: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert server.stdin is not None
    text = json.dumps({"jsonrpc": "2.0", **message}).encode()
    server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
    server.stdin.flush()


def _received(server: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert server.stdout is not None
    length = 0
    while line := server.stdout.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    assert length, "the server has ended"
    said: dict[str, Any] = json.loads(server.stdout.read(length))
    return said
