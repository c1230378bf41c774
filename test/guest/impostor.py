#!/usr/bin/env python3
"""Poses as the guest helper inside a container and misbehaves as told by the name it was started under."""
import os, struct, sys, time

how = os.path.basename(sys.argv[0]).removeprefix('impostor-')


def frame(kind, channel=0, payload=b''):
    return struct.pack('>I', len(payload) << 8 | kind) + struct.pack('>I', channel) + payload


def send(data):
    while data:
        data = data[os.write(1, data):]


def read(n):
    data = b''
    while len(data) < n:
        more = os.read(0, n - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def next_frame():
    head = read(8)
    return head[3], struct.unpack('>I', head[4:])[0], read(int.from_bytes(head[:3], 'big'))


def forever(data):
    while True:
        send(data)


HELLO = frame(1, 0, b'HWG1' + struct.pack('>HIIII', 1, 1, os.getuid(), os.getgid(), os.getpid()))
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
    kind, channel, _ = next_frame()
    if kind == 3:
        if how != 'silent':
            send(frame(4, 0, _))
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
