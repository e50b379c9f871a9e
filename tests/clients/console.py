"""Kaskade, a console for Kafka, unchanged, in a terminal as a person has it: the registry is at argv[1], the broker at
argv[2]. The values of the topic argv[3] have to come on its screen as the schemas of the registry read them: argv[4] and
those behind it, such as `{'id': 9}`.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte

COLUMNS, LINES = 200, 60
SECONDS_MAX = 150

url, bootstrap, topic, *expected = sys.argv[1:]
console = "from kaskade.main import cli; cli()"
arguments = ["consumer", "-b", bootstrap, "-t", topic, "--earliest", "-k", "string", "-v", "registry", "--registry", f"url={url}"]

pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
    os.execv(sys.executable, [sys.executable, "-c", console, *arguments])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))

screen = pyte.Screen(COLUMNS, LINES)
stream = pyte.ByteStream(screen)
ends_at = time.monotonic() + SECONDS_MAX
seen = set()
try:
    while len(seen) < len(expected):
        shown = "\n".join(screen.display)
        assert time.monotonic() < ends_at, f"not on the screen: {sorted(set(expected) - seen)}\n{shown}"
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                stream.feed(os.read(terminal, 65_536))
            except OSError:
                raise AssertionError(f"the console ended\n{shown}") from None
        seen.update(text for text in expected if text in "\n".join(screen.display))
finally:
    # Asked to end, it may stay: it has nothing that could be lost.
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

print("done")
