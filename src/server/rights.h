/* server/rights: from root to nobody in particular. The room's own. At start, single-threaded. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* As root: raises the limit of descriptors, then becomes uid and gid for good, without groups or capabilities. */
MUST_CHECK enum outcome rights_drop(uid_t uid, gid_t gid, struct error *err);
void rights_raise_files(
    void); /* the soft limit of descriptors to the hard one; root: to what many instances need */
/* The kernel gives this process the CPU as soon as something comes for it, before an instance that just answered goes on: a
 * slice of 0.1 ms instead of 3 (Linux 6.12; earlier ones take no notice). Fair shares stay as they are. Needs no rights. */
void rights_short_slice(void);
/* "READY=1" and the like to systemd; without NOTIFY_SOCKET nothing. Source: sd_notify(3). */
void notify_systemd(const char *state);
