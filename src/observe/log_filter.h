/* observe/log_filter: CloudWatch Logs' filter patterns for text: ERROR Exception (all of them), "a phrase", -excluded, ?one ?or ?another.
 * Case-sensitive, a term matches anywhere in the message. Patterns for JSON, for fields and regular expressions are refused by name.
 * Source: CloudWatch Logs user guide, "Filter pattern syntax". Thread: any; immutable once parsed. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

enum {
    LOG_FILTER_BYTES_MAX = 1024, /* CloudWatch Logs: filterPattern */
    LOG_FILTER_TERMS_MAX = 128   /* ours; 1,024 characters hold more only as single letters */
};

enum log_term_kind { LOG_TERM_ALL, LOG_TERM_ANY, LOG_TERM_NONE };
struct log_term {
    enum log_term_kind kind;
    struct slice text;    /* as it must stand in a message; in the filter's memory */
    struct slice escaped; /* as it then stands in a line */
};
struct log_filter {
    struct log_term terms[LOG_FILTER_TERMS_MAX];
    size_t count;
    bool any;            /* one of the LOG_TERM_ANY must be there */
    struct slice needle; /* escaped; no line without it matches; empty: there is none such */
    struct buffer memory;
};

/*   err  ERROR_INVALID/InvalidParameterException, in AWS's words where it has some */
MUST_CHECK enum outcome log_filter_parse(struct slice pattern, struct log_filter *out, struct error *err);
void log_filter_drop(struct log_filter *filter);
bool log_filter_matches(const struct log_filter *filter, struct slice message);
