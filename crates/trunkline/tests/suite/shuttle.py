"""A bad road between two network namespaces: shuttle.py SEED NAMESPACE NAMESPACE.

Makes a TUN device in each and carries packets between the two: some are lost, some come twice, some late, so that
others overtake them. Which ones follows from the seed and from the order in which they come. Prints "ready" when the
road is open, and when standard input ends, how many packets met with what.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
MTU = 1500

LOST, TWICE, LATE = 0.03, 0.02, 0.20
LATE_SECONDS_MAX = 0.005


def device(name, namespace, own, other):
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    ip = lambda *words: subprocess.run(["ip", *words], check=True)
    # The descriptor stays with the device wherever that goes.
    ip("link", "set", name, "netns", namespace)
    ip("-n", namespace, "address", "add", own, "peer", other, "dev", name)
    ip("-n", namespace, "link", "set", name, "up")
    return descriptor


def main():
    seed, first, second = sys.argv[1:]
    chance = random.Random(int(seed))
    names = [f"tl{os.getpid()}{letter}" for letter in "ab"]
    ends = [
        device(names[0], first, "10.77.0.1", "10.77.0.2"),
        device(names[1], second, "10.77.0.2", "10.77.0.1"),
    ]
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    met = dict(carried=0, lost=0, twice=0, late=0)
    waiting, number = [], 0
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, end, packet = heapq.heappop(waiting)
            try:
                os.write(end, packet)
            except OSError:
                pass  # the queue is full: lost
        until = max(0.0, waiting[0][0] - now) if waiting else None
        readable, _, _ = select.select([*ends, sys.stdin], [], [], until)
        if sys.stdin in readable:
            print(" ".join(f"{name} {count}" for name, count in met.items()), flush=True)
            return
        for end in readable:
            packet = os.read(end, 65536)
            met["carried"] += 1
            if chance.random() < LOST:
                met["lost"] += 1
                continue
            copies = 1
            if chance.random() < TWICE:
                met["twice"] += 1
                copies = 2
            for _ in range(copies):
                late = 0.0
                if chance.random() < LATE:
                    met["late"] += 1
                    late = chance.random() * LATE_SECONDS_MAX
                number += 1
                heapq.heappush(waiting, (time.monotonic() + late, number, other[end], packet))


main()
