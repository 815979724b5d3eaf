/* doctor: what this machine offers, and the remedy for what is missing. It changes nothing; keeper_probe makes one sandbox and ends it. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "json/json.h"

enum {
    DOCTOR_FILES_WANTED = 65536,
    DOCTOR_FILES_LEAST = 4096,
    DOCTOR_MEMORY_MB_LEAST = 512,
    DOCTOR_DISK_MB_LEAST = 1024,
    DOCTOR_CHECKS_MAX = 32
};

enum verdict { GOOD, POOR /* works, with less */, BAD /* functions cannot run */ };
static const char *const verdict_names[] = { "ok", "warning", "failed" };

struct check {
    enum verdict verdict;
    const char *name;
    char *detail, *remedy; /* owned; remedy NULL when none is needed */
};

struct doctor {
    struct cli_machine machine;
    struct keeper_report report;
    struct check checks[DOCTOR_CHECKS_MAX];
    size_t count;
};

static void examine(struct doctor *doctor, enum verdict verdict, const char *name, const char *remedy,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
static void examine(struct doctor *doctor, enum verdict verdict, const char *name, const char *remedy,
                    const char *format, ...)
{
    char detail[600];
    va_list list;
    assert(doctor->count < DOCTOR_CHECKS_MAX);
    va_start(list, format);
    (void)vsnprintf(detail, sizeof(detail), format, list);
    va_end(list);
    doctor->checks[doctor->count++] =
        (struct check){ verdict, name, memory_text(detail), verdict == GOOD ? NULL : memory_text(remedy) };
}

/* The number in a file of /proc or /sys; -1 when there is none. */
static long long number_in(const char *path)
{
    FILE *file = fopen(path, "re");
    long long number;
    if (file == NULL)
        return -1;
    if (fscanf(file, "%lld", &number) != 1)
        number = -1;
    (void)fclose(file);
    return number;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- the kernel ---- */

/* Why an ordinary user gets no namespaces, in the order in which the reasons are common. */
static const char *sandbox_remedy(void)
{
    if (geteuid() == 0)
        return "As root in a container: give it CAP_SYS_ADMIN (docker run --privileged), or run Hearth outside of "
               "it.";
    if (number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
        return "AppArmor forbids it here (Ubuntu 24.04 does). Load the profile that comes with Hearth: sed "
               "'s|@BINARY@|'\"$(realpath "
               "\"$(command -v hearth)\")\"'|' packaging/hearth.apparmor | sudo tee /etc/apparmor.d/hearth && sudo "
               "apparmor_parser -r "
               "/etc/apparmor.d/hearth (installed: sudo cp PREFIX/share/hearth/apparmor/hearth /etc/apparmor.d/).";
    if (number_in("/proc/sys/kernel/unprivileged_userns_clone") == 0)
        return "Allow user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1. Or run Hearth as root.";
    if (number_in("/proc/sys/user/max_user_namespaces") == 0)
        return "Allow user namespaces: sudo sysctl user.max_user_namespaces=15000. Or run Hearth as root.";
    return "Run Hearth as root, or where the kernel lets you make user namespaces.";
}

static void examine_sandbox(struct doctor *doctor)
{
    const struct keeper_report *report = &doctor->report;
    struct utsname kernel;
    if (uname(&kernel) == 0)
        examine(doctor, GOOD, "system", NULL, "Linux %s, %s, %s", kernel.release, kernel.machine,
                geteuid() == 0 ? "root" : "an ordinary user");
    /* The line is made for the server's start and begins with its subject, which stands before ours already. */
    const char *line = strncmp(report->line, "sandbox: ", 9) == 0 ? report->line + 9 : report->line;
    if (report->sandbox)
        examine(doctor, GOOD, "sandbox", NULL, "%s", line);
    else
        examine(doctor, BAD, "sandbox", sandbox_remedy(), "no namespaces can be made%s%s",
                line[0] != '\0' ? ": " : "", line);
    long long apparmor = number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    if (apparmor == 1 && geteuid() == 0)
        examine(doctor, GOOD, "apparmor", NULL,
                "forbids ordinary users their namespaces; root is free to make them");
    else if (apparmor == 1)
        examine(doctor, report->sandbox ? GOOD : POOR, "apparmor", sandbox_remedy(), "%s",
                report->sandbox ? "restricts user namespaces; Hearth is allowed" : "forbids user namespaces");
    if (report->sandbox && !report->own_uids)
        examine(
            doctor, POOR, "user ids",
            "Run Hearth as root (systemd unit: packaging/hearth.service) to give each instance a user of its own.",
            "all instances have one");
    else if (report->sandbox)
        examine(doctor, GOOD, "user ids", NULL, "each instance has its own");
    if (report->seccomp)
        examine(doctor, GOOD, "seccomp", NULL, "system calls are filtered");
    else
        examine(doctor, POOR, "seccomp", "Use a kernel with CONFIG_SECCOMP_FILTER.",
                "system calls are not filtered");
}

static void examine_cgroups(struct doctor *doctor)
{
    const struct keeper_report *report = &doctor->report;
    char have[64], lack[64];
    const char *remedy =
        geteuid() == 0
            ? "Mount the cgroup file system writable, with these controllers (in a container: --cgroupns=private, "
              "or bind /sys/fs/cgroup)."
            : "Run Hearth as root, or let systemd delegate a scope: systemd-run --user --scope -p Delegate=yes "
              "hearth serve.";
    (void)snprintf(have, sizeof(have), "%s%s%s%s", report->cgroup_memory ? " memory" : "",
                   report->cgroup_cpu ? " cpu" : "", report->cgroup_pids ? " pids" : "",
                   report->cgroup_freezer ? " freezer" : "");
    (void)snprintf(lack, sizeof(lack), "%s%s%s%s", report->cgroup_memory ? "" : " memory",
                   report->cgroup_cpu ? "" : " cpu", report->cgroup_pids ? "" : " pids",
                   report->cgroup_freezer ? "" : " freezer");
    if (report->cgroup_version == 0)
        examine(doctor, POOR, "cgroups", remedy,
                "none: limits of memory and processor are kept by rlimits and a watch");
    else if (lack[0] != '\0')
        examine(doctor, POOR, "cgroups", remedy, "version %d with%s; without%s", report->cgroup_version,
                have[0] != '\0' ? have : " nothing", lack);
    else
        examine(doctor, GOOD, "cgroups", NULL, "version %d with%s", report->cgroup_version, have);
}

static void examine_tmp(struct doctor *doctor)
{
    bool mkfs = is_there("/sbin/mkfs.ext4") || is_there("/usr/sbin/mkfs.ext4");
    if (doctor->report.tmp_on_disk) {
        examine(doctor, GOOD, "/tmp", NULL, "on disk, bounded by an image for each instance");
        return;
    }
    const char *remedy = !mkfs            ? "Install it: apt-get install e2fsprogs"
                         : geteuid() != 0 ? "Only root may attach loop devices: run Hearth as root."
                         : !is_there("/dev/loop-control")
                             ? "Load the loop module (modprobe loop); in a container pass /dev/loop-control and "
                               "the loop devices in."
                             : "Allow loop devices to this container.";
    examine(doctor, POOR, "/tmp", remedy, "in memory, its size added to the function's limit: %s",
            !mkfs ? "there is no mkfs.ext4" : "no loop devices for us");
}

/* ---- what functions run on ---- */

static void examine_runtimes(struct doctor *doctor)
{
    struct buffer have = BUFFER_EMPTY;
    size_t node = 0, python = 0;
    for (size_t i = 0; runtime_at(i) != NULL; i++) {
        const struct runtime_id *runtime = runtime_at(i);
        char how[256];
        if (runtime->family == RUNTIME_PROVIDED) /* always there */
            continue;
        if (!runtime_installed(&doctor->machine.keeper, runtime, how))
            continue;
        buffer_appendf(&have, "%s%s", have.len > 0 ? ", " : "", runtime->id);
        if (runtime->family == RUNTIME_NODE)
            node++;
        else
            python++;
    }
    if (node + python == 0)
        examine(doctor, BAD, "runtimes", "Add one: hearth runtime add nodejs22.x", "there are none");
    else if (node == 0)
        examine(doctor, POOR, "runtimes", "For Node.js: hearth runtime add nodejs22.x", "%s; no Node.js",
                buffer_text(&have));
    else if (python == 0)
        examine(doctor, POOR, "runtimes", "For Python: apt-get install python3", "%s; no Python",
                buffer_text(&have));
    else
        examine(doctor, GOOD, "runtimes", NULL, "%s", buffer_text(&have));
    buffer_drop(&have);
}

static bool in_runtime_dirs(const struct doctor *doctor, const char *name)
{
    for (size_t i = 0; i < doctor->machine.keeper.runtime_dir_count; i++) {
        char path[PATH_MAX];
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", doctor->machine.dirs[i], name) < sizeof(path) &&
            is_there(path))
            return true;
    }
    return false;
}

static void examine_parts(struct doctor *doctor)
{
    bool old_sdk = in_runtime_dirs(doctor, "sdk-node18/node_modules"),
         new_sdk = in_runtime_dirs(doctor, "sdk-node20/node_modules");
    char bootstrap[PATH_MAX] = "";
    if (doctor->machine.share != NULL)
        (void)snprintf(bootstrap, sizeof(bootstrap), "%s/runtimes/node/bootstrap.js", doctor->machine.share);
    if (is_there(bootstrap))
        examine(doctor, GOOD, "bootstraps", NULL, "%s/runtimes", doctor->machine.share);
    else
        examine(doctor, BAD, "bootstraps", "Name the checkout or PREFIX/share/hearth with HEARTH_SHARE or --share.",
                "not found%s%s", doctor->machine.share != NULL ? " in " : " beside this binary",
                doctor->machine.share != NULL ? doctor->machine.share : "");
    if (old_sdk && new_sdk)
        examine(doctor, GOOD, "AWS SDK", NULL, "for Node.js 18 and for 20 and newer");
    else
        examine(doctor, POOR, "AWS SDK", "Add them: hearth runtime add sdk",
                "%s: functions have to bring the @aws-sdk clients that they import",
                old_sdk   ? "only for Node.js 18"
                : new_sdk ? "not for Node.js 18"
                          : "not there");
    if (is_there("/usr/lib/python3/dist-packages/boto3"))
        examine(doctor, GOOD, "boto3", NULL, "the system's");
    else
        examine(doctor, POOR, "boto3", "Install it: apt-get install python3-boto3",
                "Python functions have to bring it themselves");
}

/* ---- how much of it ---- */

static void examine_amounts(struct doctor *doctor)
{
    struct rlimit files;
    struct statvfs disk;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        enum verdict verdict = files.rlim_max >= DOCTOR_FILES_WANTED ? GOOD : POOR;
        examine(doctor, verdict, "open files",
                "Raise it: ulimit -Hn 1048576, or LimitNOFILE= in the unit. An instance takes about five.",
                "at most %" PRIu64 "%s", (uint64_t)files.rlim_max,
                files.rlim_max < DOCTOR_FILES_LEAST ? ": very few" : "");
    }
    FILE *meminfo = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long kilobytes;
    while (meminfo != NULL && fgets(line, sizeof(line), meminfo) != NULL) {
        if (sscanf(line, "MemAvailable: %llu", &kilobytes) == 1)
            examine(doctor, kilobytes / 1024 >= DOCTOR_MEMORY_MB_LEAST ? GOOD : POOR, "memory",
                    "A function has 128 MB or more: free some.", "%llu MB are free", kilobytes / 1024);
    }
    if (meminfo != NULL)
        (void)fclose(meminfo);
    /* The directory may not be there yet: its nearest parent is on the disk that it will be on. */
    AUTO(text)
    char *path = memory_text(doctor->machine.config.data);
    while (!is_there(path) && strrchr(path, '/') != NULL && strrchr(path, '/') != path)
        *strrchr(path, '/') = '\0';
    if (statvfs(is_there(path) ? path : "/", &disk) == 0) {
        uint64_t free_mb = (uint64_t)disk.f_bavail * disk.f_frsize / (1024 * 1024);
        examine(doctor, free_mb >= DOCTOR_DISK_MB_LEAST ? GOOD : POOR, "disk",
                "Code, logs and the functions' /tmp need room: free some.", "%" PRIu64 " MB are free below %s",
                free_mb, doctor->machine.config.data);
    }
}

/* ---- the visit ---- */

/* The probe may want to try an image on the disk of the data; a directory that is not there yet is stood in for by one of our own. */
static enum outcome probe(struct doctor *doctor, struct error *err)
{
    char name[64], aside[] = "/tmp/hearth-doctor-XXXXXX";
    bool made = false;
    AUTO(fd)
    int dir = open(doctor->machine.config.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || faccessat(dir, ".", W_OK, AT_EACCESS) != 0) {
        fd_drop(&dir);
        made = mkdtemp(aside) != NULL;
        dir = made ? open(aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    }
    if (dir < 0)
        return error_set_sys(err, errno, "Make /tmp writable.", "could not make a directory to try things in");
    (void)snprintf(name, sizeof(name), "hearth-doctor-%d", (int)getpid());
    doctor->machine.keeper.data_dir = dir;
    doctor->machine.keeper.name = name;
    keeper_probe(&doctor->machine.keeper, &doctor->report);
    doctor->machine.keeper.name = NULL;
    doctor->machine.keeper.data_dir = -1;
    if (made)
        TRY(dir_remove(AT_FDCWD, aside, err));
    return OK;
}

static void print_text(const struct doctor *doctor)
{
    static const char *const marks[] = { "ok  ", "warn", "FAIL" };
    for (size_t i = 0; i < doctor->count; i++) {
        const struct check *check = &doctor->checks[i];
        printf("%s  %-11s %s\n", marks[check->verdict], check->name, check->detail);
        if (check->remedy != NULL)
            printf("                  -> %s\n", check->remedy);
    }
}

static void print_json(const struct doctor *doctor, bool can_run)
{
    struct buffer out = BUFFER_EMPTY;
    buffer_appendf(&out, "{\"functions_can_run\":%s,\"checks\":[", can_run ? "true" : "false");
    for (size_t i = 0; i < doctor->count; i++) {
        const struct check *check = &doctor->checks[i];
        buffer_appendf(&out, "%s{\"name\":\"%s\",\"status\":\"%s\",\"detail\":", i > 0 ? "," : "", check->name,
                       verdict_names[check->verdict]);
        json_append_string(&out, slice_of(check->detail));
        if (check->remedy != NULL) {
            buffer_append_text(&out, ",\"remedy\":");
            json_append_string(&out, slice_of(check->remedy));
        }
        buffer_append_byte(&out, '}');
    }
    buffer_append_text(&out, "]}\n");
    (void)fwrite(out.at, 1, out.len, stdout);
    buffer_drop(&out);
}

static void doctor_drop(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->count; i++) {
        text_drop(&doctor->checks[i].detail);
        text_drop(&doctor->checks[i].remedy);
    }
    cli_machine_drop(&doctor->machine);
}

static const struct cli_option options[] = { CLI_JSON_OPTION };

static int run(int argc, char **argv)
{
    struct cli_line line;
    struct error err = { 0 };
    int end = cli_read_line(&cli_doctor, argc, argv, &line);
    if (end != CLI_GO)
        return end;
    if (line.rest_count > 0)
        return cli_refuse(&cli_doctor, "unexpected argument \"%s\"", line.rest[0]);
    struct doctor doctor = { 0 };
    if (cli_machine_read(&doctor.machine, &err) != OK)
        return cli_fail(&err);
    if (probe(&doctor, &err) != OK) {
        doctor_drop(&doctor);
        return cli_fail(&err);
    }
    examine_sandbox(&doctor);
    examine_cgroups(&doctor);
    examine_tmp(&doctor);
    examine_runtimes(&doctor);
    examine_parts(&doctor);
    examine_amounts(&doctor);
    bool can_run = true;
    for (size_t i = 0; i < doctor.count; i++)
        can_run = can_run && doctor.checks[i].verdict != BAD;
    if (cli_is_on(&line, "json"))
        print_json(&doctor, can_run);
    else
        print_text(&doctor);
    if (!can_run && !cli_is_on(&line, "json"))
        printf("functions cannot run here yet\n");
    doctor_drop(&doctor);
    return can_run ? CLI_DONE : CLI_FAILED;
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .summary = "say what this machine offers and what is missing, with the remedy",
    .run = run,
    .usage = "[--json]",
    .text = "    Looks at what sandboxes need (namespaces, cgroups, seccomp, AppArmor's ban on user namespaces, "
            "loop devices),\n"
            "    at the runtimes, and at memory, disk and open files. It changes nothing. Exit status 1 when "
            "functions cannot\n"
            "    run here. Run it as the user that will run the server.\n",
    CLI_OPTIONS(options),
};
