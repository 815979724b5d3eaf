/* The schema and how a database gets there. */
#include <stdio.h>

#include "store/schema.h"

static const struct {
    const char *word;
    const char *spelled[DIALECT_COUNT];
} schema_types[] = {
    { "@int", { [DIALECT_SQLITE] = "BIGINT", [DIALECT_POSTGRESQL] = "BIGINT" } },
    { "@text", { [DIALECT_SQLITE] = "TEXT", [DIALECT_POSTGRESQL] = "TEXT" } },
    { "@bytes", { [DIALECT_SQLITE] = "BLOB", [DIALECT_POSTGRESQL] = "BYTEA" } },
};

/* What we made or checked ourselves is text; whatever a stranger wrote is bytes. */
static const char *const version_1[] = {
    "CREATE TABLE hearth_schema (version @int NOT NULL)",
    "INSERT INTO hearth_schema (version) VALUES (0)",
    "CREATE TABLE functions ("
    " name @text NOT NULL, version @text NOT NULL, revision_id @text NOT NULL, digest @text NOT NULL,"
    " document @bytes NOT NULL, environment @bytes NOT NULL, modified_ms @int NOT NULL,"
    " PRIMARY KEY (name, version))",
    "CREATE TABLE access_keys ("
    " access_key @text NOT NULL PRIMARY KEY, owner @text NOT NULL, sealed_secret @bytes NOT NULL, serial @int NOT "
    "NULL)",
    "CREATE INDEX access_keys_owner ON access_keys (owner, serial)",
    "CREATE TABLE roles (name @text NOT NULL PRIMARY KEY, document @bytes NOT NULL)",
    NULL,
};

/* Versions, and all that belongs to a function beside them; layers; asynchronous invocations that were accepted. */
static const char *const version_2[] = {
    "ALTER TABLE functions ADD COLUMN last_version @int NOT NULL DEFAULT 0", /* of the $LATEST row: numbers never return */
    "CREATE TABLE function_settings ("
    " name @text NOT NULL, kind @text NOT NULL, qualifier @text NOT NULL, revision_id @text NOT NULL,"
    " document @bytes NOT NULL, version_1 @int NOT NULL, version_2 @int NOT NULL,"
    " created_ms @int NOT NULL, modified_ms @int NOT NULL, PRIMARY KEY (name, kind, qualifier))",
    "CREATE TABLE layers (name @text NOT NULL PRIMARY KEY, last_version @int NOT NULL)",
    "CREATE TABLE layer_versions ("
    " name @text NOT NULL, version @int NOT NULL, digest @text NOT NULL, document @bytes NOT NULL,"
    " created_ms @int NOT NULL, PRIMARY KEY (name, version))",
    "CREATE TABLE async_events ("
    " id @int NOT NULL PRIMARY KEY, name @text NOT NULL, qualifier @text NOT NULL, request_id @text NOT NULL,"
    " trace @bytes NOT NULL, client_context @bytes NOT NULL, payload @bytes NOT NULL,"
    " received_ms @int NOT NULL, attempts @int NOT NULL)",
    "CREATE INDEX async_events_function ON async_events (name, id)",
    NULL,
};

/* The asynchronous invocations of functions that were deleted, up to and with last_id: they are gone for everybody but who sweeps them away. */
static const char *const version_3[] = {
    "CREATE TABLE async_leftovers (name @text NOT NULL PRIMARY KEY, last_id @int NOT NULL)",
    NULL,
};

static const struct migration migrations[] = {
    { 1, version_1 },
    { 2, version_2 },
    { 3, version_3 },
};

const struct migration *schema_migration(size_t index)
{
    return index < sizeof(migrations) / sizeof(migrations[0]) ? &migrations[index] : NULL;
}

int64_t schema_newest(void)
{
    return migrations[sizeof(migrations) / sizeof(migrations[0]) - 1].version;
}

void schema_spell(enum store_dialect dialect, const char *ddl, struct buffer *out)
{
    while (*ddl) {
        const char *spelled = NULL;
        for (size_t i = 0; *ddl == '@' && i < sizeof(schema_types) / sizeof(schema_types[0]); i++) {
            if (!strncmp(ddl, schema_types[i].word, strlen(schema_types[i].word))) {
                spelled = schema_types[i].spelled[dialect];
                ddl += strlen(schema_types[i].word);
                break;
            }
        }
        if (spelled)
            buffer_append_text(out, spelled);
        else
            buffer_append_byte(out, *ddl++);
    }
}

/* ---- the version ---- */

/* The catalogue is the one thing that each engine has to itself. */
static const char sql_tables[] =
    "SELECT count(*), coalesce(sum(CASE WHEN name = 'hearth_schema' THEN 1 ELSE 0 END), 0)"
    " FROM sqlite_master WHERE type = 'table'";

#define SCHEMA_STATEMENTS(X)                                                                                       \
    X(version_read, "SELECT max(version) FROM hearth_schema")                                                      \
    X(version_write, "UPDATE hearth_schema SET version = $1")
SCHEMA_STATEMENTS(STATEMENT_DEFINE)
static const char *const schema_own_statements[] = { SCHEMA_STATEMENTS(STATEMENT_LIST) NULL };

static const struct statement_table statement_tables[] = {
    { "schema.c", schema_own_statements },         { "functions.c", functions_statements },
    { "settings.c", settings_statements },         { "layers.c", layers_statements },
    { "async_events.c", async_events_statements },
};

const struct statement_table *schema_statements(size_t index)
{
    return index < sizeof(statement_tables) / sizeof(statement_tables[0]) ? &statement_tables[index] : NULL;
}

static enum outcome schema_version(struct store_tx *tx, int64_t *version, struct error *err)
{
    struct store_stmt *stmt;
    bool row;
    TRY(store_sql(tx, sql_tables, &stmt, err));
    TRY(store_step(stmt, &row, err));
    if (store_int(stmt, 0) == 0) {
        *version = 0;
        return OK;
    }
    if (store_int(stmt, 1) == 0)
        return error_set(err, ERROR_INVALID, "Choose another data directory.",
                         "the database was not made by Hearth: it has tables, but not \"hearth_schema\"");
    TRY(store_sql(tx, sql_version_read, &stmt, err));
    TRY(store_step(stmt, &row, err));
    *version = store_int(stmt, 0);
    return OK;
}

static enum outcome schema_steps(struct store_tx *tx, struct error *err)
{
    int64_t version = 0;
    TRY(schema_version(tx, &version, err));
    if (version > schema_newest())
        return error_set(err, ERROR_UNSUPPORTED,
                         "Start the newer Hearth, or restore the data directory from before.",
                         "the database has schema %lld, this Hearth knows up to %lld", (long long)version,
                         (long long)schema_newest());
    connection_reset_statements(tx->connection);
    bool changed = false;
    for (size_t i = 0; schema_migration(i); i++) {
        const struct migration *migration = schema_migration(i);
        if (migration->version <= version)
            continue;
        for (const char *const *ddl = migration->ddl; *ddl; ddl++) {
            struct buffer text = BUFFER_EMPTY;
            schema_spell(DIALECT_SQLITE, *ddl, &text);
            enum outcome outcome = connection_run_text(tx, buffer_text(&text), err);
            buffer_drop(&text);
            TRY(outcome);
        }
        changed = true;
    }
    if (!changed)
        return OK;
    struct store_stmt *stmt;
    TRY(store_sql(tx, sql_version_write, &stmt, err));
    store_bind_int(stmt, 1, schema_newest());
    return store_run(stmt, NULL, err);
}

enum outcome schema_migrate(struct connection *c, struct error *err)
{
    struct store_tx tx;
    TRY(connection_begin(c, &tx, err));
    if (schema_steps(&tx, err) != OK) {
        connection_rollback(&tx);
        return FAILED;
    }
    return connection_commit(&tx, err) == COMMIT_DONE ? OK : FAILED;
}
