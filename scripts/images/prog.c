/*
 * The only file of hatchway-scratch: a program where there is no shell, no libc and no passwd.
 * Alone it waits and reaps, as a container's PID 1 should; with arguments it is a very small toolbox.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal_number) { _exit(128 + signal_number); }

int main(int argc, char **argv)
{
    if (argc < 2) {
        /* PID 1 gets no signal whose default action would end it. */
        signal(SIGTERM, leave);
        signal(SIGINT, leave);
        for (;;)
            if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD) sleep(1);
    }
    if (!strcmp(argv[1], "echo")) {
        for (int i = 2; i < argc; i++) printf("%s%s", argv[i], i + 1 < argc ? " " : "");
        putchar('\n');
        return 0;
    }
    if (!strcmp(argv[1], "exit")) return argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(argv[1], "cat")) {
        char block[65536];
        ssize_t got;
        while ((got = read(0, block, sizeof block)) > 0)
            for (ssize_t at = 0, put; at < got; at += put)
                if ((put = write(1, block + at, got - at)) < 0) return 1;
        return got < 0;
    }
    fprintf(stderr, "prog: echo, exit N, cat, or nothing to wait\n");
    return 2;
}
