"""A process that scores one delivery of a loop's folder, and may be killed by itself in the midst of it.

Called with the folder, the release, the name of the file and the number of the call to the outside after which
the process sends itself SIGKILL; 0 for never. Says `ready` before it begins, then the state of what it scored.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from churnlib.usecases.scoring import score_file
from tests.killing import Process
from tests.loops import MODEL, make_loop, run


class _Mortal(Process):
    def count(self) -> None:
        self.calls += 1
        if self.calls == self._last_call:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, release: str, file: str, last_call: str) -> None:
    loop = make_loop(Path(folder), process=str(os.getpid()))
    loop.register(Path(release))
    services = _Mortal(int(last_call)).lend(loop.services)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    result = score_file(
        services, run(f"process-{os.getpid()}"), model=MODEL, path=services.inbox.resolve(MODEL, file)
    )
    sys.stdout.write(result.state + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
