/* Writes without end to both outputs. */
#include "attempt.h"

int main(void)
{
    char block[65536];
    memset(block, 'x', sizeof(block));
    for (;;)
        if (write(1, block, sizeof(block)) < 0 || write(2, block, sizeof(block)) < 0)
            return 0;
}
