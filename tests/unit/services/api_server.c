/* The test service of fixture.c as a program, for clients that are not written in C: prints one line of JSON that says where
 * it is and which keys it knows, and serves until its standard input ends. */
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"

int main(void)
{
    struct fixture *f = fixture_start();
    printf("{\"port\":%d,\"root\":[\"%s\",\"%s\"],\"instance\":[\"%s\",\"%s\",\"%s\"]}\n", f->port, TEST_KEY,
           TEST_SECRET, f->instance_key, f->instance_secret, f->instance_token);
    (void)fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    fixture_stop(f);
    return 0;
}
