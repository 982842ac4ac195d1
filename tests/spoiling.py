"""What a forged request may do to the process that answers it; called by lamofc.isolated_server in tests."""

import os
import signal
import sys
import time


def answer(request: bytes) -> bytes:
    """b"<what> ..." -> the request reversed; later requests meet what was done."""
    what = request.split()[0]
    if what == b"die":
        os.kill(os.getpid(), signal.SIGSEGV)
    server = sys.modules["__main__"]
    kept, reads = server._read, []

    def read(source, size):
        reads.append(size)
        if what == b"die-midway" and len(reads) == 2:  # the head is taken, the body is still in the pipe
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == b"stand-still":
            time.sleep(1000)
        return kept(source, size)

    server._read = read
    return request[::-1]
