"""Starts commands as forked processes of one that has imported everything: a start takes no seconds.

Lines of JSON come in, a line goes out for each: {"start": ...} gives a process number, {"wait": number} its exit code
(negative: killed by that signal).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def start(order: dict[str, Any]) -> int:
    number = os.fork()
    if number:
        return number
    code = 70
    try:
        sink = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(order["environment"])
        sys.path[:0] = order["path"]
        if order["module"] == "run":
            from lartpc_sparse.run import main
        else:
            from lartpc_sparse.data.convert import main
        code = main(order["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    import torch

    torch.set_num_threads(1)
    import lartpc_sparse.chain
    import lartpc_sparse.data.convert
    import lartpc_sparse.steps.dry_run
    import lartpc_sparse.variants  # noqa: F401

    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = start(order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
