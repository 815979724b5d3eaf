/* services/sts: AWS Security Token Service, 2011-06-15. GetCallerIdentity: who am I? Needs no permission. All else of its
 * model is answered InvalidAction by the front, since it stands in no row. */
#include "services/service.h"

static void sts_get_caller_identity(struct call *call)
{
    const struct principal *principal = call->principal;
    /* arn:aws:iam::ACCOUNT:root | arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION */
    struct slice arn = slice_of(principal->arn), rest = arn, account = SLICE_EMPTY;
    for (int field = 0; field < 5; field++)
        account = slice_split(&rest, ':');
    AUTO(buffer)
    struct buffer result = BUFFER_EMPTY;
    xml_append_element(&result, "Arn", arn);
    xml_append_element(&result, "UserId", slice_of(principal->user_id));
    xml_append_element(&result, "Account", account);
    call_reply_query_xml(call, buffer_slice(&result));
}

static const struct operation sts_operations[] = {
    { .name = "GetCallerIdentity", .handler = sts_get_caller_identity },
};

const struct service sts_service = {
    .name = "sts",
    .family = FAMILY_QUERY,
    .version = "2011-06-15",
    .xml_namespace = "https://sts.amazonaws.com/doc/2011-06-15/",
    .operations = sts_operations,
    .operation_count = sizeof(sts_operations) / sizeof(sts_operations[0]),
};
