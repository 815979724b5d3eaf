/* Every statement of the room on a real PostgreSQL: the second engine must not find out years later that the first one was lenient.
 * A throw-away server is made for it (unix socket only, as an ordinary user, collation C) and ended with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "store/schema.h"

enum { TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_TEXT = 25 }; /* pg_type.dat */
enum { START_TRIES = 600, START_WAIT_MS = 100 };

struct postgresql {
    char bin[128];
    char data[64];
    pid_t pid;
    PGconn *connection;
};

static bool find_programs(struct postgresql *pg)
{
    char path[256];
    for (int version = 15; version <= 20; version++) {
        snprintf(pg->bin, sizeof(pg->bin), "/usr/lib/postgresql/%d/bin", version);
        snprintf(path, sizeof(path), "%s/initdb", pg->bin);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* PostgreSQL refuses to run as root. */
static uid_t ordinary_user(gid_t *gid)
{
    const struct passwd *user = getpwnam("postgres");
    *gid = user ? user->pw_gid : 65534;
    return user ? user->pw_uid : 65534;
}

static pid_t run(const struct postgresql *pg, const char *program, const char *argv[])
{
    char path[256], log[128];
    snprintf(path, sizeof(path), "%s/%s", pg->bin, program);
    snprintf(log, sizeof(log), "%s/log", pg->data);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    gid_t gid;
    uid_t uid = ordinary_user(&gid);
    if (getuid() == 0 && (setgid(gid) || setuid(uid)))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT); /* a test that dies takes its server with it */
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir("/"))
        _exit(126);
    argv[0] = path; /* initdb looks for its fellow programs beside itself */
    execv(path, (char *const *)argv);
    _exit(127);
}

static void show_log(const struct postgresql *pg)
{
    struct buffer text = BUFFER_EMPTY;
    char log[128];
    struct error err;
    snprintf(log, sizeof(log), "%s/log", pg->data);
    if (file_read(AT_FDCWD, log, 64 * 1024, &text, &err) == OK)
        print_error("%s\n", buffer_text(&text));
    buffer_drop(&text);
}

static bool make_cluster(const struct postgresql *pg)
{
    char data[128];
    int status = 0;
    snprintf(data, sizeof(data), "--pgdata=%s/cluster", pg->data);
    const char *argv[] = { "initdb",          data,         "--auth=trust", "--username=hearth",
                           "--encoding=UTF8", "--locale=C", "--no-sync",    NULL };
    pid_t pid = run(pg, "initdb", argv);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool start_server(struct postgresql *pg)
{
    char data[128], sockets[128], address[256];
    snprintf(data, sizeof(data), "%s/cluster", pg->data);
    snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", pg->data);
    snprintf(address, sizeof(address), "host=%s user=hearth dbname=postgres", pg->data);
    const char *argv[] = {
        "postgres",           "-D", data, "-c", sockets, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
        "shared_buffers=1MB", NULL
    };
    pg->pid = run(pg, "postgres", argv);
    for (int i = 0; pg->pid > 0 && i < START_TRIES && PQping(address) != PQPING_OK; i++) {
        if (waitpid(pg->pid, NULL, WNOHANG) == pg->pid) {
            pg->pid = 0;
            return false;
        }
        nanosleep(&(struct timespec){ .tv_nsec = START_WAIT_MS * 1000000L }, NULL);
    }
    pg->connection = PQconnectdb(address);
    return PQstatus(pg->connection) == CONNECTION_OK;
}

static int start(void **state)
{
    static struct postgresql pg;
    gid_t gid;
    uid_t uid = ordinary_user(&gid);
    strcpy(pg.data, "/tmp/hearth-pg-XXXXXX");
    if (!mkdtemp(pg.data) || (getuid() == 0 && chown(pg.data, uid, gid)))
        return -1;
    *state = &pg;
    if (!find_programs(&pg)) {
        print_error("PostgreSQL's programs are missing (looked for /usr/lib/postgresql/15/bin/initdb): `make "
                    "setup` installs them\n");
        return -1;
    }
    if (make_cluster(&pg) && start_server(&pg))
        return 0;
    show_log(&pg);
    return -1;
}

static int stop(void **state)
{
    struct postgresql *pg = *state;
    struct error err;
    PQfinish(pg->connection);
    if (pg->pid > 0) {
        kill(pg->pid, SIGQUIT);
        waitpid(pg->pid, NULL, 0);
    }
    return dir_remove(AT_FDCWD, pg->data, &err) == OK ? 0 : -1;
}

static void run_text(struct postgresql *pg, const char *sql)
{
    PGresult *result = PQexec(pg->connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s\n%s", sql, PQresultErrorMessage(result));
    PQclear(result);
}

static void every_migration_runs_in_its_postgresql_spelling(void **state)
{
    struct postgresql *pg = *state;
    for (size_t i = 0; schema_migration(i); i++) {
        const struct migration *migration = schema_migration(i);
        assert_int_equal(migration->version, i + 1);
        for (const char *const *ddl = migration->ddl; *ddl; ddl++) {
            struct buffer text = BUFFER_EMPTY;
            schema_spell(DIALECT_POSTGRESQL, *ddl, &text);
            run_text(pg, buffer_text(&text));
            buffer_drop(&text);
        }
    }
}

static void assert_own_type(const char *sql, Oid type)
{
    if (type != TYPE_INT8 && type != TYPE_BYTEA && type != TYPE_TEXT)
        fail_msg("type %u is neither BIGINT, BYTEA nor TEXT in: %s", type, sql);
}

static void every_statement_is_prepared_with_our_three_types_alone(void **state)
{
    struct postgresql *pg = *state;
    size_t prepared = 0;
    for (size_t i = 0; schema_statements(i); i++) {
        for (const char *const *sql = schema_statements(i)->statements; *sql; sql++, prepared++) {
            PGresult *result = PQprepare(pg->connection, "", *sql, 0, NULL);
            if (PQresultStatus(result) != PGRES_COMMAND_OK)
                fail_msg("%s: %s\n%s", schema_statements(i)->file, *sql, PQresultErrorMessage(result));
            PQclear(result);
            result = PQdescribePrepared(pg->connection, "");
            assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
            for (int n = 0; n < PQnparams(result); n++)
                assert_own_type(*sql, PQparamtype(result, n));
            for (int n = 0; n < PQnfields(result); n++)
                assert_own_type(*sql, PQftype(result, n));
            PQclear(result);
        }
    }
    assert_true(prepared > 0);
}

static void text_sorts_bytewise_as_in_sqlite(void **state)
{
    struct postgresql *pg = *state;
    PGresult *result = PQexec(pg->connection, "SELECT 'B'::text < 'a'::text");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_string_equal(PQgetvalue(result, 0, 0), "t");
    PQclear(result);
}

/* How often `needle` stands in the room's own sources. */
static size_t count_in_sources(const char *needle)
{
    size_t count = 0;
    DIR *dir = opendir(STORE_SOURCES);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct buffer text = BUFFER_EMPTY;
        struct error err;
        if (!slice_ends(slice_of(entry->d_name), SLICE(".c")))
            continue;
        assert_int_equal(file_read(dirfd(dir), entry->d_name, 1024 * 1024, &text, &err), OK);
        for (const char *at = buffer_text(&text); (at = strstr(at, needle)) != NULL; at++)
            count++;
        buffer_drop(&text);
    }
    closedir(dir);
    return count;
}

static void no_statement_of_the_room_escapes_this_test(void **state)
{
    (void)state;
    size_t uses = count_in_sources("store_sql(");
    size_t declared = count_in_sources("enum outcome store_sql(struct store_tx *tx");
    size_t registered = count_in_sources("store_sql(tx, sql_");
    assert_true(registered > 0);
    assert_int_equal(declared, 1);
    assert_int_equal(uses, declared + registered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_migration_runs_in_its_postgresql_spelling),
        cmocka_unit_test(every_statement_is_prepared_with_our_three_types_alone),
        cmocka_unit_test(text_sorts_bytewise_as_in_sqlite),
        cmocka_unit_test(no_statement_of_the_room_escapes_this_test),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
