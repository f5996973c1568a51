"""Many clients of an echo service at once, each checked byte for byte and in order.

usage: many.py HOST PORT CONNECTIONS BYTES

Opens all connections before anything is sent, sends BYTES bytes over each (unlike those of any other), compares
every reply with what was sent, and then finishes every connection and expects the server's end of stream. Nothing is
closed before everything has come back, so all connections are open at once. Ends with a line of result, or with an
error and status 1.
"""

import errno
import random
import resource
import selectors
import socket
import sys

# Without this option a source port is taken when the address is bound, for all destinations; with it, when the
# connection is made. (Python 3.11 has no name for it.)
IP_BIND_ADDRESS_NO_PORT = 24
CONNECTIONS_PER_SOURCE = 5_000
# More connections under way than this might overflow the server's backlog, which costs a second each.
CONNECTING_MAX = 512
# Nothing takes nearly as long: when nothing has happened for so many seconds, something is lost.
PATIENCE_SECONDS = 30
CHUNK_BYTES = 64 * 1024

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Client:
    """One connection, what it sends, and how far it has come."""

    def __init__(self, number, length):
        self.message = random.Random(number).randbytes(length)
        self.number = number
        self.sent = 0
        self.received = 0
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Every address in 127.0.0.0/8 is this machine: with several sources, ports do not run out.
        self.socket.bind((f"127.0.0.{2 + number // CONNECTIONS_PER_SOURCE}", 0))

    def send(self):
        """Sends what the system takes. Whether everything is sent."""
        try:
            self.sent += self.socket.send(self.message[self.sent : self.sent + CHUNK_BYTES])
        except BlockingIOError:
            pass
        return self.sent == len(self.message)

    def receive(self):
        """Compares what has come with what was sent. Whether everything is back."""
        try:
            piece = self.socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not piece:
            raise ValueError(f"connection {self.number} ended after {self.received} bytes")
        if piece != self.message[self.received : self.received + len(piece)]:
            raise ValueError(f"connection {self.number}: a wrong byte after byte {self.received}")
        self.received += len(piece)
        return self.received == len(self.message)


def ready(selector):
    """Who is ready, or an error when nobody is for too long."""
    events = selector.select(PATIENCE_SECONDS)
    if not events:
        raise TimeoutError(f"nothing happened for {PATIENCE_SECONDS} seconds")
    return [(key.data, mask) for key, mask in events]


def connect(selector, address, clients):
    """Opens every connection, not too many at a time."""
    waiting = iter(clients)
    connecting = connected = 0
    while connected < len(clients):
        while connecting < CONNECTING_MAX and (client := next(waiting, None)):
            error = client.socket.connect_ex(address)
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, f"connection {client.number} cannot be opened")
            selector.register(client.socket, WRITE, client)
            connecting += 1
        for client, _ in ready(selector):
            if error := client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, f"connection {client.number} cannot be opened")
            # Out of the selector until its turn to talk comes: it would be writable all the time.
            selector.unregister(client.socket)
            connecting -= 1
            connected += 1


def exchange(selector, clients):
    """Sends everything over every connection and checks that all of it comes back."""
    for client in clients:
        selector.register(client.socket, READ | WRITE, client)
    unfinished = len(clients)
    while unfinished:
        for client, mask in ready(selector):
            if mask & WRITE and client.send():
                selector.modify(client.socket, READ, client)
            if mask & READ and client.receive():
                selector.unregister(client.socket)
                unfinished -= 1


def finish(selector, clients):
    """Ends our side of every connection and waits for the server's end, with not a byte before it."""
    for client in clients:
        selector.register(client.socket, READ, client)
        client.socket.shutdown(socket.SHUT_WR)
    unfinished = len(clients)
    while unfinished:
        for client, _ in ready(selector):
            if client.socket.recv(1):
                raise ValueError(f"connection {client.number}: more came back than was sent")
            selector.unregister(client.socket)
            client.socket.close()
            unfinished -= 1


def main():
    host, port, connections, length = sys.argv[1], *map(int, sys.argv[2:])
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    clients = [Client(number, length) for number in range(connections)]
    with selectors.DefaultSelector() as selector:
        connect(selector, (host, port), clients)
        exchange(selector, clients)
        finish(selector, clients)
    print(f"{connections} connections at once, {length} bytes over each, all of them back in order")


try:
    main()
except (OSError, ValueError) as error:
    sys.exit(f"error: {error}")
