# SPDX-License-Identifier: LGPL-2.1-or-later
"""spoil-tree.py NAME TEXT: change one bit of TEXT, which is in a small file of the tree whose kernel name is NAME. The
node is read from the kernel and stored again by hand, since a stored one cannot be written to; the checksums stay as they were."""

import ctypes
import errno
import fcntl
import os
import struct
import sys

# As in linux/pkram.h.
NAME = struct.Struct("=IIQ256s")
STAT = struct.Struct("=IIII QQQ IIII qqq")
BYTES = struct.Struct("=IIIIQQQ")
COMMIT = struct.Struct("=IIQ")
SIMPLE = struct.Struct("=IIiI")
SAVE_BEGIN, SAVE_BYTES, SAVE_COMMIT = 0x10, 0x12, 0x13
LOAD_BEGIN, LOAD_STAT, LOAD_BYTES, LOAD_END = 0x20, 0x21, 0x23, 0x24
NEW_OBJECT, REPLACE, IS_FILE = 0xffffffff, 1, 1


def call(fd, number, layout, *fields):
    """The structure begins with its own size."""
    argument = bytearray(layout.pack(layout.size, *fields))
    fcntl.ioctl(fd, 0xBC << 8 | number, argument)
    return layout.unpack(argument)


def load(name):
    """The bytes of each object. All of a tree of small files are byte streams."""
    fd, objects = os.open("/dev/pkram", os.O_RDWR), []
    call(fd, LOAD_BEGIN, NAME, 0, 0, name)
    while True:
        try:
            stat = call(fd, LOAD_STAT, STAT, 0, len(objects), *[0] * 11)
        except OSError as e:
            if e.errno != errno.ENODATA:
                raise
            break
        if stat[3] & IS_FILE:
            sys.exit(f"object {len(objects)} is a file: that tree is not one of small files")
        data = ctypes.create_string_buffer(stat[6] or 1)
        done = call(fd, LOAD_BYTES, BYTES, 0, len(objects), 0, 0, ctypes.addressof(data), stat[6])
        objects.append(data.raw[:done[6]])
    call(fd, LOAD_END, SIMPLE, 0, 0, 0)
    os.close(fd)
    return objects


def store(name, objects):
    fd = os.open("/dev/pkram", os.O_RDWR)
    call(fd, SAVE_BEGIN, NAME, 0, 0, name)
    for o in objects:
        data = ctypes.create_string_buffer(o, len(o) or 1)
        call(fd, SAVE_BYTES, BYTES, 0, NEW_OBJECT, 0, 0, ctypes.addressof(data), len(o))
    call(fd, SAVE_COMMIT, COMMIT, REPLACE, 0)
    os.close(fd)


node, text = sys.argv[1].encode(), sys.argv[2].encode()
kept = load(node)
if sum(o.count(text) for o in kept) != 1:
    sys.exit(f"'{sys.argv[2]}' is not in it once")
store(node, [o.replace(text, bytes([text[0] ^ 1]) + text[1:]) for o in kept])
