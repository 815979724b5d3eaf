/* attempt: what every hostile program shares. A program tries to break out and says of each attempt that worked "BROKEN: ...";
 * it exits with 1 when one did, with 0 when the sandbox held. Everything else it prints is for people. */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static int broken;

/* worked: the attempt did what it must not. */
static inline void attempt(const char *what, bool worked)
{
    if (worked) {
        printf("BROKEN: %s\n", what);
        broken = 1;
    }
    fflush(stdout);
}

/* A system call must fail, and with one of these two errors (0: any will do). */
static inline void attempt_errno(const char *what, long result, int a, int b)
{
    int e = errno;
    attempt(what, result >= 0);
    if (result < 0 && a != 0 && e != a && e != b) {
        printf("BROKEN: %s failed with %s, not with %s\n", what, strerror(e), strerror(a));
        broken = 1;
    }
    fflush(stdout);
}
