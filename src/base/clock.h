/* clock: the times. Wall time for what people and signatures see, monotonic time for what is measured. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void);  /* Unix time */
uint64_t clock_mono_us(void); /* never steps */

enum { CLOCK_TEXT_BYTES = 40 };
/* "2024-01-31T12:00:00.123Z", as in log lines. */
void clock_iso_ms(int64_t wall_ms, char out[CLOCK_TEXT_BYTES]);
/* "2024-01-31T12:00:00.123+0000", as Lambda's LastModified. */
void clock_lambda_ms(int64_t wall_ms, char out[CLOCK_TEXT_BYTES]);
