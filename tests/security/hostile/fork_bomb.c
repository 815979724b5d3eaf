/* Forks until it cannot, and says how often it could; its children stay until it ends. */
#include "attempt.h"

int main(void)
{
    int made = 0;
    for (;;) {
        pid_t pid = fork();
        if (pid == 0) {
            pause();
            _exit(0);
        }
        if (pid < 0)
            break;
        if (++made > 20000)
            break;
    }
    printf("processes %d\n", made);
    attempt("more processes than there may be", made >= 1024);
    return broken;
}
