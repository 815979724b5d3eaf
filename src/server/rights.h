/* server/rights: from root to nobody in particular. The room's own. At start, single-threaded. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* As root: raises the limit of descriptors, then becomes uid and gid for good, without groups or capabilities. */
MUST_CHECK enum outcome rights_drop(uid_t uid, gid_t gid, struct error *err);
void rights_raise_files(
    void); /* the soft limit of descriptors to the hard one; root: to what many instances need */
/* "READY=1" and the like to systemd; without NOTIFY_SOCKET nothing. Source: sd_notify(3). */
void notify_systemd(const char *state);
