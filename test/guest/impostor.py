#!/usr/bin/env python3
"""Poses as the guest helper inside a container and misbehaves as told by the name it was started under."""
import os, socket, struct, sys, threading, time

# Where frames come and go; a socket of the gateway's after SWITCH.
source, sink = 0, 1
how = os.path.basename(sys.argv[0]).removeprefix('impostor-')


def frame(kind, channel=0, payload=b''):
    return struct.pack('>I', len(payload) << 8 | kind) + struct.pack('>I', channel) + payload


def send(data, to=None):
    while data:
        data = data[os.write(sink if to is None else to, data):]


def read(n, fd):
    data = b''
    while len(data) < n:
        more = os.read(fd, n - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def next_frame(fd):
    head = read(8, fd)
    return head[3], struct.unpack('>I', head[4:])[0], read(int.from_bytes(head[:3], 'big'), fd)


def answer_pings():
    while True:
        send(frame(4, 0, next_frame(0)[2]), 1)


def connect(token, path):
    line = socket.socket(socket.AF_UNIX)
    line.connect(path)
    line.sendall(token)
    return line.detach()


def forever(data):
    while True:
        send(data)


HELLO = frame(1, 0, b'HWG1' + struct.pack('>HIIII', 1, 5, os.getuid(), os.getgid(), os.getpid()))
DATA = frame(20, 1, b'x' * 65536)

if how == 'noise':
    forever(os.urandom(65536))
if how == 'text':
    forever(b'Welcome to this container!\n' * 1000)
if how == 'mute':
    time.sleep(600)
if how == 'liar':
    send(frame(1, 0, b'HWG1' + struct.pack('>HIIII', 1, 1, 4242, 0, 1)))
    time.sleep(600)

send(HELLO)
if how == 'chatter':
    forever(frame(2, 0, b'y' * 4096))
if how == 'screamer':
    while True:
        os.write(2, b'lorem \x1b[2J ipsum ' * 4096 + b'\n')
if how == 'deaf':
    time.sleep(600)

while True:
    kind, channel, payload = next_frame(source)
    if kind == 3:
        if how != 'silent':
            send(frame(4, 0, payload))
    if kind == 6:
        door = payload[20:]
        held = os.open(door, os.O_PATH)
        source = connect(payload[:16], door)
        send(frame(7, 0, b'\0' * 4))
        sink = source
        threading.Thread(target=answer_pings).start()
    if kind == 14:
        # A line of its own: no credit. "line-unseen" shows no token on it, "line-flood" knows no end.
        send(frame(15, channel, struct.pack('>II', 1, 0)))
        if how == 'line-flood':
            line = connect(payload[8:24], '/proc/self/fd/%d' % held)
            while True:
                send(b'x' * 65536, line)
    if kind != 11:
        continue
    opened = frame(15, channel, struct.pack('>II', 1, 262144))
    if how == 'opens-nothing':
        continue
    send(opened)
    if how == 'flood':
        forever(frame(20, channel, b'x' * 65536))
    if how == 'tiny-flood':
        forever(frame(20, channel, b'x') * 4000)
    if how == 'wrong-channel':
        send(frame(20, channel + 1, b'secret of another channel'))
    if how == 'oversized':
        send(struct.pack('>I', 0xffffff << 8 | 28) + struct.pack('>I', channel))
        forever(b'\0' * 65536)
    if how == 'credit':
        forever(frame(24, channel, struct.pack('>I', 1 << 20)))
    if how == 'accepts':
        for i in range(100000):
            send(frame(17, 0x80000000 + i, struct.pack('>IIHI', channel, 65536, 1, 0)))
    if how == 'pongs':
        forever(frame(4, 0, b'\0' * 8) * 1000)
    if how == 'half-frame':
        send(frame(28, channel, b'\0\0\0')[:9])
        time.sleep(600)
    if how == 'exits-twice':
        send(frame(28, channel, b'\0\0\0') * 2)
    if how == 'swallows':
        # Opened, answers pings, and never anything else: the session hangs, and only that session.
        pass
