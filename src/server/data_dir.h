/* server/data_dir: the data directory and the small files in it that people and scripts read. The room's own.
 * DIR 0700: hearth.db, master.key, code/, logs/ (the server's), sandbox/ (the keeper's), lock, credentials, config, endpoints.json. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/* Opens DIR (made when it is not there, parents too), 0700, and takes its lock: held as long as *lock is open.
 *   err  ERROR_CONFLICT: another server runs on it */
MUST_CHECK enum outcome data_dir_open(const char *path, int *dir, int *lock, struct error *err);
/* Gives DIR and what lies in it, but for the keeper's part, to the user that the server is about to become. */
MUST_CHECK enum outcome data_dir_give(int dir, uid_t uid, gid_t gid, struct error *err);

struct data_dir_facts {
    const char *api_url, *gateway_url, *region, *access_key, *secret;
};
/* DIR/credentials (an AWS shared-credentials file) and DIR/config (an AWS config file). */
MUST_CHECK enum outcome data_dir_write_aws_files(int dir, const struct data_dir_facts *facts, struct error *err);
/* DIR/endpoints.json: written last, when all answers; removed when the server ends. */
MUST_CHECK enum outcome data_dir_write_endpoints(int dir, const struct data_dir_facts *facts, struct error *err);
void data_dir_remove_endpoints(int dir);
