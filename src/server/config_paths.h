/* server/config_paths: where things lie when nobody says so. For the room alone; config.h names what others may use. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

char *path_absolute(struct slice path); /* against the current directory; nothing is resolved; owned */
char *config_default_file(void);        /* the one that is read when none is named, if it is there; owned */
uint64_t uid_base_default(void);
