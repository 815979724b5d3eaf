/* Links inside a package are welcome (npm makes them for its programs), links that lead out are not.
 *
 * Looking at the text alone is not enough: with up -> ../.. deep below, x -> a/b/up/../y looks harmless and is not. So each link is followed
 * as the kernel would, through the other links of the same zip, and may at no step stand above the package's root. What is not in the zip
 * cannot be a link, so there the text decides. All of it is bounded: a few links can be made to lead through each other very often. */
#include <stdlib.h>

#include "base/buffer.h"
#include "engine/package_private.h"

struct walk {
    const struct zip_plan *plan;
    const struct zip_entry *link; /* the one that is looked into */
    struct buffer at;             /* where we stand: "a/b", empty at the root */
    size_t hops;                  /* links met on this way */
    size_t steps;                 /* parts walked, for all links of the zip */
};

static int compare_to_path(const void *key, const void *element)
{
    return zip_compare_paths(key, ((const struct zip_entry *)element)->path);
}

static const struct zip_entry *find_entry(const struct zip_plan *plan, const char *path)
{
    return bsearch(path, plan->entries, plan->count, sizeof(*plan->entries), compare_to_path);
}

static bool step_up(struct walk *walk)
{
    if (walk->at.len == 0)
        return false;
    while (walk->at.len > 0 && walk->at.at[walk->at.len - 1] != '/')
        walk->at.len--;
    if (walk->at.len > 0)
        walk->at.len--;
    return true;
}

static void step_into(struct walk *walk, struct slice part)
{
    if (walk->at.len > 0)
        buffer_append_byte(&walk->at, '/');
    buffer_append_slice(&walk->at, part);
}

static enum outcome walk_refuse(const struct walk *walk, const char *why, struct error *err)
{
    char shown[ZIP_SHOWN_BYTES];
    return zip_refuse(err, "the link \"%s\" %s", zip_shown(walk->link->path, shown), why);
}

/* Follows `target` from where we stand. A link on the way is replaced by its own target, so the text can grow: it is kept as "what is
 * still to be walked". */
static enum outcome walk_target(struct walk *walk, struct slice target, struct error *err)
{
    struct buffer left = BUFFER_EMPTY, next = BUFFER_EMPTY;
    enum outcome outcome = OK;
    buffer_append_slice(&left, target);
    if (target.len > 0 && target.at[0] == '/')
        outcome = walk_refuse(walk, "leads to an absolute path", err);
    while (outcome == OK && left.len > 0) {
        struct slice rest = buffer_slice(&left);
        struct slice part = slice_split(&rest, '/');
        const struct zip_entry *entry = NULL;
        if (++walk->steps > PACKAGE_LINK_STEPS_MAX || left.len > PACKAGE_PATH_BYTES_MAX * 4) {
            outcome = walk_refuse(walk, "is too long to follow", err);
            break;
        }
        if (slice_is(part, "..")) {
            if (!step_up(walk))
                outcome = walk_refuse(walk, "leads out of the package", err);
        } else if (part.len > 0 && !slice_is(part, ".")) {
            step_into(walk, part);
            entry = find_entry(walk->plan, buffer_text(&walk->at));
        }
        buffer_reset(&next);
        if (entry && entry->kind == ZIP_LINK) {
            if (++walk->hops > PACKAGE_LINK_HOPS_MAX)
                outcome = walk_refuse(walk, "leads in a circle", err);
            else if (entry->target[0] == '/')
                outcome = walk_refuse(walk, "leads to an absolute path", err);
            (void)step_up(walk); /* a link's target is seen from the directory that it lies in */
            buffer_append_text(&next, entry->target);
            buffer_append_byte(&next, '/');
        }
        buffer_append_slice(&next, rest);
        struct buffer swap = left;
        left = next;
        next = swap;
    }
    buffer_drop(&left);
    buffer_drop(&next);
    return outcome;
}

enum outcome zip_links_check(const struct zip_plan *plan, struct error *err)
{
    struct walk walk = { .plan = plan };
    enum outcome outcome = OK;
    if (plan->links > PACKAGE_LINKS_MAX)
        return zip_refuse(err, "it has %zu links, the limit is %d", plan->links, PACKAGE_LINKS_MAX);
    for (size_t i = 0; i < plan->count && outcome == OK; i++) {
        if (plan->entries[i].kind != ZIP_LINK)
            continue;
        walk.link = &plan->entries[i];
        walk.hops = 0;
        buffer_reset(&walk.at);
        buffer_append_text(&walk.at, walk.link->path);
        (void)step_up(&walk);
        outcome = walk_target(&walk, slice_of(walk.link->target), err);
    }
    buffer_drop(&walk.at);
    return outcome;
}
