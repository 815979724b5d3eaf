/* Fuzzes json. Properties: what is accepted, written and read again, writes the same bytes; any bytes appended as a string
 * are one JSON string, and ASCII in it comes back as it was. */
#include <stdio.h>
#include <stdlib.h>

#include "json/json.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "violated: %s\n", what);
    abort();
}

static void write_back(yyjson_doc *doc, struct buffer *out)
{
    AUTO(json_mut_doc)
    yyjson_mut_doc *copy = yyjson_doc_mut_copy(doc, NULL);
    demand(copy != NULL, "a document can be copied");
    json_write(out, copy);
}

static void document(struct slice text)
{
    AUTO(json_doc)
    yyjson_doc *first = NULL, *second = NULL;
    struct error err = { 0 };
    bool valid = json_is_valid(text);
    demand((json_parse(text, &first, &err) == OK) == valid, "json_is_valid and json_parse agree");
    if (!valid) {
        demand(err.message[0] != '\0' && err.hint[0] != '\0', "a refusal says why");
        return;
    }
    AUTO(buffer)
    struct buffer once = BUFFER_EMPTY, twice = BUFFER_EMPTY;
    write_back(first, &once);
    demand(json_parse(buffer_slice(&once), &second, &err) == OK, "what we write we read");
    write_back(second, &twice);
    demand(slice_equal(buffer_slice(&once), buffer_slice(&twice)), "written twice it is the same");
}

static void string(struct slice bytes)
{
    AUTO(buffer)
    struct buffer out = BUFFER_EMPTY;
    AUTO(json_doc)
    yyjson_doc *doc = NULL;
    json_append_string(&out, bytes);
    demand(json_parse(buffer_slice(&out), &doc, NULL) == OK, "any bytes make a string");
    struct slice back = json_slice(yyjson_doc_get_root(doc));
    for (size_t i = 0; i < bytes.len; i++)
        if ((unsigned char)bytes.at[i] >= 0x80)
            return;
    demand(slice_equal(back, bytes), "ASCII comes back");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    document(slice_from(data, size));
    string(slice_from(data, size));
    return 0;
}
