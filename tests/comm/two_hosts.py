"""Two hosts on one machine: network namespaces with a link that can delay, drop or cut packets. Needs root, ip and a tun device."""

import collections
import ctypes
import fcntl
import os
import random
import select
import signal
import struct
import subprocess
import threading
import time

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x1, 0x1000, 0x40000000
HOSTS = ("hipgpt-host-a", "hipgpt-host-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
DEVICE = "hipgpt0"


class TwoHosts:
    """A context in which the two hosts exist. Raises OSError where this machine does not allow it."""

    def __init__(self):
        self.delay, self.loss, self.cut = 0.0, 0.0, False  # seconds, probability, whether nothing passes
        self._ends = []
        self._stop = False

    def __enter__(self):
        try:
            for i in (0, 1):
                _ip("netns", "add", HOSTS[i])
                self._ends.append(_open_tun(HOSTS[i]))
                _ip("-n", HOSTS[i], "addr", "add", f"{ADDRESSES[i]}/24", "dev", DEVICE)
                _ip("-n", HOSTS[i], "link", "set", "dev", DEVICE, "mtu", "9000", "up")
                _ip("-n", HOSTS[i], "link", "set", "dev", "lo", "up")
        except OSError:
            self.__exit__()
            raise
        self._relay = threading.Thread(target=self._run, daemon=True)
        self._relay.start()
        return self

    def __exit__(self, *_):
        self._stop = True
        for end in self._ends:
            os.close(end)
        for host in HOSTS:
            pids = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True).stdout.split()
            for pid in pids:
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", host], stderr=subprocess.DEVNULL)

    @staticmethod
    def command(host, command):
        """The command that runs `command` on host 0 or 1, which has a name of its own."""
        script = f"hostname {HOSTS[host]}; exec \"$@\""
        return ["ip", "netns", "exec", HOSTS[host], "unshare", "-u", "sh", "-c", script, "sh", *command]

    def _run(self):
        chance = random.Random(1)
        queue = collections.deque()  # (time, file descriptor, packet)
        while not self._stop:
            wait = max(0.0, queue[0][0] - time.monotonic()) if queue else 0.05
            try:
                for end in select.select(self._ends, [], [], min(wait, 0.05))[0]:
                    packet = os.read(end, 65536)
                    if not self.cut and chance.random() >= self.loss:
                        queue.append((time.monotonic() + self.delay, self._ends[1 - self._ends.index(end)], packet))
                while queue and queue[0][0] <= time.monotonic():
                    _, end, packet = queue.popleft()
                    os.write(end, packet)
            except OSError:
                if self._stop:
                    return


def _ip(*arguments):
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise OSError(result.stderr.strip())


def _open_tun(host):
    """Opens the host's end of the link, named DEVICE."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as before, open(f"/run/netns/{host}") as there:
        if libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            end = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
        finally:
            libc.setns(before.fileno(), _CLONE_NEWNET)
    return end
