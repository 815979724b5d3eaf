/* Writes one file in /tmp until the disk is full, then files until there are no more. Says how many MB and files it could. Argument: MB that
 * must be possible. */
#include "attempt.h"

int main(int argc, char **argv)
{
    static char block[1024 * 1024];
    int mb_asked = argc > 1 ? atoi(argv[1]) : 512, mb = 0, files = 0;
    memset(block, 'x', sizeof(block));
    int fd = open("/tmp/big", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    while (write(fd, block, sizeof(block)) == (ssize_t)sizeof(block) && mb < 16 * 1024)
        mb++;
    int failed = errno;
    printf("wrote %d MB, then: %s\n", mb, strerror(failed));
    attempt("less than was asked for", mb < mb_asked);
    attempt("much more than was asked for", mb > mb_asked + mb_asked / 20 + 8);
    attempt("another error than ENOSPC", failed != ENOSPC);
    close(fd);
    unlink("/tmp/big");
    for (; files < 1000000; files++) {
        char path[64];
        snprintf(path, sizeof(path), "/tmp/f%d", files);
        if ((fd = open(path, O_WRONLY | O_CREAT, 0600)) < 0)
            break;
        close(fd);
    }
    printf("made %d files, then: %s\n", files, strerror(errno));
    attempt("files without end", files == 1000000);
    return broken;
}
