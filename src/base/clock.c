#include "base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t clock_mono_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void write_time(int64_t wall_ms, const char *zone, char out[CLOCK_TEXT_BYTES])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm at;
    (void)gmtime_r(&seconds, &at);
    char day[24];
    (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &at);
    (void)snprintf(out, CLOCK_TEXT_BYTES, "%s.%03d%s", day, (int)(wall_ms % 1000), zone);
}

void clock_iso_ms(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    write_time(wall_ms, "Z", out);
}

void clock_lambda_ms(int64_t wall_ms, char out[CLOCK_TEXT_BYTES])
{
    write_time(wall_ms, "+0000", out);
}
