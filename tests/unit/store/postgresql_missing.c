/* Stands in for postgresql_test where libpq's headers were missing when the build was set up: a test that is not run must not look passed. */
#include <stdio.h>

int main(void)
{
    fputs(
        "libpq-dev was missing when the build was set up: `make setup` installs it, then set the build up again\n",
        stderr);
    return 1;
}
