/* What is refused beyond llhttp's own strictness. The rule behind all of it: what two readers (a proxy before us, we, a
 * function behind us) could understand differently is no request. */
#include "net/http_input.h"

#include <strings.h>

bool input_refuse(struct input *in, int status, const char *text)
{
    if (!in->refusal.status)
        in->refusal = (struct refusal){ status, text };
    return false;
}

/* RFC 9110 5.6.2, tchar. */
static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_name_ok(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_token_char((unsigned char)name.at[i]))
            return false;
    return name.len > 0;
}

/* RFC 9110 5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous"; other controls have no
 * business there either. */
bool http_value_ok(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

void input_refuse_llhttp(struct input *in, llhttp_errno_t code)
{
    const char *reason = llhttp_get_error_reason(&in->parser);
    switch (code) {
    case HPE_INVALID_METHOD: {
        /* RFC 9110 9.1: 501 for a method that is not known; TLS and other noise is no method at all. */
        const char *at = llhttp_get_error_pos(&in->parser);
        bool known_shape =
            at && (is_token_char((unsigned char)*at) || (*at == ' ' && at > in->work->input + in->head_at));
        input_refuse(in, known_shape ? HTTP_NOT_IMPLEMENTED : HTTP_BAD_REQUEST,
                     known_shape ? "the method is not supported" : "this is not HTTP");
        break;
    }
    case HPE_INVALID_VERSION:
        input_refuse(in, in->version_complete ? HTTP_BAD_REQUEST : HTTP_VERSION_NOT_SUPPORTED,
                     reason ? reason : "the version is not supported");
        break;
    default:
        input_refuse(in, HTTP_BAD_REQUEST, reason ? reason : "the request is malformed");
    }
}

static bool name_is(struct slice name, struct slice wanted)
{
    return name.len == wanted.len && strncasecmp(name.at, wanted.at, wanted.len) == 0;
}

/* RFC 9112 6.1: "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not the
 * final encoding, the message body length cannot be determined reliably; the server MUST respond with the 400". Known
 * codings before it we do not decode: "SHOULD respond with 501". */
static bool judge_transfer_encoding(struct input *in, struct slice value)
{
    if (name_is(value, SLICE("chunked")))
        return true;
    bool last = value.len > 8 && name_is(slice_sub(value, value.len - 7, 7), SLICE("chunked")) &&
                strchr(", \t", value.at[value.len - 8]);
    size_t comma;
    if (last && slice_find(value, ',', &comma)) {
        struct slice first = slice_trim(slice_sub(value, 0, comma));
        if (name_is(first, SLICE("gzip")) || name_is(first, SLICE("x-gzip")) || name_is(first, SLICE("deflate")) ||
            name_is(first, SLICE("compress")))
            return input_refuse(in, HTTP_NOT_IMPLEMENTED, "only the transfer coding chunked is supported");
    }
    return input_refuse(in, HTTP_BAD_REQUEST, "Transfer-Encoding is not exactly chunked");
}

/* RFC 9110 7.2 and RFC 3986 3.2.2: uri-host [ ":" port ], and no empty host for http (RFC 9110 4.2.1). */
static bool host_ok(struct slice host)
{
    size_t i = 0;
    if (host.len > 0 && host.at[0] == '[') {
        for (i = 1; i < host.len && host.at[i] != ']'; i++)
            if (!strchr("0123456789abcdefABCDEF:.", host.at[i]) || host.at[i] == '\0')
                return false;
        if (i == host.len || i == 1)
            return false;
        i++;
    } else {
        for (; i < host.len && host.at[i] != ':'; i++) {
            unsigned char c = (unsigned char)host.at[i];
            bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
            if (!plain && (c == '\0' || !strchr("-._~%!$&'()*+,;=", c)))
                return false;
        }
        if (i == 0)
            return false;
    }
    if (i == host.len)
        return true;
    if (host.at[i++] != ':' || host.len - i > 5)
        return false;
    for (; i < host.len; i++)
        if (host.at[i] < '0' || host.at[i] > '9')
            return false;
    return true;
}

bool input_judge_field(struct input *in, struct slice name, struct slice value)
{
    switch (name.len) {
    case 4:
        if (name_is(name, SLICE("host"))) {
            in->host = value;
            if (in->hosts++ > 0)
                return input_refuse(in, HTTP_BAD_REQUEST, "there are two Host fields");
            if (!host_ok(value))
                return input_refuse(in, HTTP_BAD_REQUEST, "Host is not a host");
        }
        return true;
    case 6:
        /* RFC 9110 10.1.1: an expectation other than 100-continue MAY be answered 417. */
        if (name_is(name, SLICE("expect"))) {
            in->expect_continue = name_is(value, SLICE("100-continue"));
            if (!in->expect_continue || in->expects++ > 0)
                return input_refuse(in, HTTP_EXPECTATION_FAILED, "only Expect: 100-continue is understood");
        }
        return true;
    case 14: /* Content-Length: llhttp refuses a second one, signs, spaces, overflow, and one beside Transfer-Encoding */
        if (name_is(name, SLICE("content-length")) && value.len > 19)
            return input_refuse(in, HTTP_BAD_REQUEST, "Content-Length is too large");
        return true;
    case 17:
        if (name_is(name, SLICE("transfer-encoding"))) {
            if (in->parser.http_minor == 0) /* RFC 9112 6.1: "MUST treat the message as if the framing is faulty" */
                return input_refuse(in, HTTP_BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding");
            if (in->framing == FRAMING_CHUNKED)
                return input_refuse(in, HTTP_BAD_REQUEST, "there are two Transfer-Encoding fields");
            in->framing = FRAMING_CHUNKED;
            return judge_transfer_encoding(in, value);
        }
        return true;
    default:
        return true;
    }
}

/* What RFC 3986 allows in a path or query, and the few that browsers send as they are: [ ] { } | ^ `. Not '#' (a
 * fragment is never sent), not '\' (some readers make it '/'), not '"' '<' '>', nothing beyond ASCII. */
static bool target_char_ok(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '#' && c != '\\' && c != '"' && c != '<' && c != '>';
}

/* "a", "a:" and "a:80" are one authority (RFC 9110 4.2.1, 4.2.3). */
static struct slice without_default_port(struct slice authority)
{
    if (slice_ends(authority, SLICE(":80")))
        return slice_sub(authority, 0, authority.len - 3);
    if (slice_ends(authority, SLICE(":")))
        return slice_sub(authority, 0, authority.len - 1);
    return authority;
}

/* RFC 9112 3.2.2: the absolute form's host counts and Host is to be ignored; a client MUST send both alike (3.2), and our
 * handlers (signatures, routes) read Host. So: alike, or refused. */
static bool judge_absolute_form(struct input *in)
{
    static const char scheme[] = "http://";
    const size_t scheme_len = sizeof scheme - 1;
    struct slice target = input_slice(in, in->target_at, in->target_len);
    if (!name_is(slice_sub(target, 0, scheme_len), SLICE("http://")))
        return input_refuse(in, HTTP_BAD_REQUEST, "the request target is neither a path nor a http URI");
    size_t end = scheme_len;
    while (end < target.len && target.at[end] != '/' && target.at[end] != '?')
        end++;
    struct slice authority = slice_sub(target, scheme_len, end - scheme_len);
    if (!host_ok(authority))
        return input_refuse(in, HTTP_BAD_REQUEST, "the request target has no valid host");
    if (in->hosts && !slice_equal_nocase(without_default_port(authority), without_default_port(in->host)))
        return input_refuse(in, HTTP_BAD_REQUEST, "the request target and Host name different hosts");
    if (end == target.len || target.at[end] == '?')
        in->work->input[in->target_at + --end] =
            '/'; /* an empty path is "/"; the authority's last byte gives the room */
    in->target_at += (uint32_t)end;
    in->target_len -= (uint32_t)end;
    return true;
}

static bool judge_request_line(struct input *in)
{
    const char *line = in->work->input + in->head_at;
    const char *target = in->work->input + in->target_at;
    /* RFC 9112 3: single spaces. llhttp takes several, and after the target RTSP/1.0 and ICE/1.0 too. */
    if (target != line + in->method_len + 1 || in->target_len == 0 ||
        strncmp(target + in->target_len, " HTTP/", 6) != 0)
        return input_refuse(in, HTTP_BAD_REQUEST, "the request line is malformed");
    for (uint32_t i = 0; i < in->target_len; i++)
        if (!target_char_ok((unsigned char)target[i]))
            return input_refuse(in, HTTP_BAD_REQUEST, "the request target has characters that must be encoded");
    if (target[0] == '/')
        return true;
    return judge_absolute_form(in);
}

bool input_judge(struct input *in)
{
    if (!judge_request_line(in))
        return false;
    bool http_11 = in->parser.http_minor == 1;
    /* RFC 9112 3.2: 400 to "any HTTP/1.1 request message that lacks a Host header field". */
    if (http_11 && in->hosts == 0)
        return input_refuse(in, HTTP_BAD_REQUEST, "Host is missing");
    /* RFC 9110 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore" it. */
    in->expect_continue = in->expect_continue && http_11 && !in->body_complete;
    return true;
}
