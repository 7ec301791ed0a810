#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service manager for tests: listens at /run/systemd/private, and answers ListJobs() there.

Usage: fake-manager.py KIND [WAIT]

KIND is the job that it has, such as "kexec.target", or "none"; "silent": it accepts connections and never answers;
"closes": it closes them. It does one of the last two for WAIT seconds first, if KIND is "silent:KIND" or
"closes:KIND".
"""

import os
import socket
import struct
import sys
import threading
import time

ADDRESS = "/run/systemd/private"
BEGIN = b"BEGIN\r\n"


def padded(data, to):
    return data + bytes(-len(data) % to)


def string(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def jobs(unit):
    """The body of an answer, a(usssoo)."""
    if unit == "none":
        return struct.pack("<II", 0, 0)
    body = struct.pack("<I", 1)
    for text in (unit, "start", "waiting", "/job/1", "/unit/1"):
        body = padded(body, 4) + string(text)
    return struct.pack("<II", len(body), 0) + body


def answer(serial, unit):
    body = jobs(unit)
    signature = b"a(usssoo)"
    fields = struct.pack("<BBBBI", 5, 1, ord("u"), 0, serial)
    fields += struct.pack("<BBBB", 8, 1, ord("g"), 0) + bytes([len(signature)]) + signature + b"\0"
    header = struct.pack("<cBBBIII", b"l", 2, 1, 1, len(body), serial, len(fields))
    return padded(header + fields, 8) + body


def serve(connection, unit):
    data = b""
    while BEGIN not in data:
        got = connection.recv(4096)
        if not got:
            return
        data += got
        # sd-bus sends all of it at once.
        if BEGIN in data:
            agrees = b"AGREE_UNIX_FD\r\n" if b"NEGOTIATE_UNIX_FD" in data else b""
            connection.sendall(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n" + agrees)
    data = data.split(BEGIN, 1)[1]
    while True:
        while len(data) >= 16:
            kind, = struct.unpack_from("<B", data, 1)
            body, serial, fields = struct.unpack_from("<III", data, 4)
            size = 16 + fields + -fields % 8 + body
            if len(data) < size:
                break
            data = data[size:]
            if kind == 1:
                connection.sendall(answer(serial, unit))
        got = connection.recv(4096)
        if not got:
            return
        data += got


def main():
    first, _, unit = sys.argv[1].partition(":")
    until = time.monotonic() + (float(sys.argv[2]) if unit else float("inf"))
    if first not in ("silent", "closes"):
        first, unit, until = "", first, 0
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(ADDRESS)
    listener.listen()
    print(os.getpid(), flush=True)
    kept = []
    while True:
        connection, _ = listener.accept()
        if time.monotonic() >= until:
            threading.Thread(target=serve, args=(connection, unit), daemon=True).start()
        elif first == "closes":
            connection.close()
        else:
            # Later is soon enough for a manager that was merely busy.
            kept.append(connection)
            if unit:
                threading.Timer(max(until - time.monotonic(), 0), serve, args=(connection, unit)).start()


main()
