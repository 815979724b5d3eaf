/* For tests: a request as text ("GET /a?b HTTP/1.1\nHost:x\n\nbody") as a struct sigv4_request that borrows from it. */
#pragma once

#include "auth/sigv4.h"

enum { RAW_HEADERS_MAX = 80 };
struct raw_request {
    struct sigv4_request request;
    struct sigv4_header headers[RAW_HEADERS_MAX];
    struct slice body;
};

/* The path is what stands between the first and the last space of the first line: the suite has raw spaces in paths. */
static inline bool raw_request_parse(struct slice text, struct raw_request *out)
{
    struct slice rest = text, line = slice_split(&rest, '\n');
    *out = (struct raw_request){ 0 };
    size_t first = 0, last = line.len;
    if (!slice_find(line, ' ', &first))
        return false;
    while (last > 0 && line.at[last - 1] != ' ')
        last--;
    if (last <= first + 1)
        return false;
    struct slice target = slice_sub(line, first + 1, last - first - 2);
    out->request.method = slice_sub(line, 0, first);
    out->request.path = slice_split(&target, '?');
    out->request.query = target;
    while (rest.len > 0) {
        const char *at = rest.at;
        line = slice_split(&rest, '\n');
        if (line.len == 0)
            break;
        if ((at[0] == ' ' || at[0] == '\t') && out->request.header_count > 0) { /* folded: the value goes on */
            struct slice *value = &out->headers[out->request.header_count - 1].value;
            value->len = (size_t)(line.at + line.len - value->at);
            continue;
        }
        size_t colon = 0;
        if (!slice_find(line, ':', &colon) || out->request.header_count == RAW_HEADERS_MAX)
            return false;
        out->headers[out->request.header_count++] =
            (struct sigv4_header){ slice_sub(line, 0, colon), slice_trim(slice_sub(line, colon + 1, line.len)) };
    }
    out->body = rest;
    out->request.headers = out->headers;
    return true;
}
