/* store/schema: the tables, version by version, and every statement of the room. For this room and its tests alone. */
#pragma once

#include "base/buffer.h"
#include "store/sqlite.h"

/* Types in DDL are written @int, @text and @bytes; each engine has a word of its own for them. (BYTEA would give a SQLite column
 * numeric affinity: '0123' came back as 123. TEXT in PostgreSQL sorts by the database's collation, which is to be C.) */
enum store_dialect { DIALECT_SQLITE, DIALECT_POSTGRESQL, DIALECT_COUNT };
void schema_spell(enum store_dialect dialect, const char *ddl, struct buffer *out);

struct migration {
    int64_t version;        /* 1, 2, 3, ...; one that has been released is never changed again */
    const char *const *ddl; /* up to a NULL */
};
const struct migration *schema_migration(size_t index); /* NULL behind the last */
int64_t schema_newest(void);

/* Brings the database to the newest version, in one transaction.
 *   err  ERROR_UNSUPPORTED (a newer one made it), ERROR_INVALID (it is not ours) */
MUST_CHECK enum outcome schema_migrate(struct connection *c, struct error *err);

/* A file's statements are one list: STATEMENTS(X) with X(name, "text"). It makes sql_<name> and a table of all, so that nothing can be
 * run that the PostgreSQL test does not see. */
#define STATEMENT_DEFINE(name, text) static const char sql_##name[] = text;
#define STATEMENT_LIST(name, text)   sql_##name,

struct statement_table {
    const char *file;
    const char *const *statements; /* up to a NULL */
};
const struct statement_table *schema_statements(size_t index); /* NULL behind the last */
extern const char *const functions_statements[];
extern const char *const settings_statements[];
extern const char *const layers_statements[];
extern const char *const async_events_statements[];
