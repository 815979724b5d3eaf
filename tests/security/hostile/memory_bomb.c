/* Takes memory by the way its argument names until something stops it: plain, shared, mapped, memfd, threads. It must never get to the end.
 * Second argument: how many MB would be too much. */
#include "attempt.h"

#include <sys/mman.h>

static void touch(char *at, size_t size)
{
    for (size_t i = 0; i < size; i += 4096)
        at[i] = 1;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "plain";
    int mb_max = argc > 2 ? atoi(argv[2]) : 1024;
    enum { STEP = 8 * 1024 * 1024 };
    if (strcmp(way, "children") == 0)
        for (int i = 0; i < 3; i++)
            if (fork() == 0)
                break;
    for (int mb = 0; mb < mb_max; mb += 8) {
        char *at;
        if (strcmp(way, "memfd") == 0) {
            int fd = memfd_create("x", 0);
            if (fd < 0 || ftruncate(fd, STEP) < 0) {
                printf("refused\n");
                return 0;
            }
            at = mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            close(fd);
        } else {
            at = mmap(NULL, STEP, PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | (strcmp(way, "shared") == 0 ? MAP_SHARED : MAP_PRIVATE), -1, 0);
        }
        if (at == MAP_FAILED) {
            printf("refused\n");
            return 0;
        }
        touch(at, STEP);
        usleep(1000); /* slow enough for a watch that looks 20 times a second to see it at all */
    }
    attempt("all of the memory asked for", true);
    return broken;
}
