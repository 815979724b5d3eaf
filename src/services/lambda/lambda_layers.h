/* services/lambda/lambda_layers: which layer version a call is about. For lambda_layers.c and lambda_layer_policy.c alone. */
#pragma once

#include "services/lambda/lambda.h"

enum {
    LAMBDA_LAYER_ARN_BYTES_MAX = 2048, /* AWS: "Member must have length less than or equal to 2048" */
    LAMBDA_LAYER_LIST_PAGE_MAX = 50,   /* model: MaxLayerListItems */
};

struct lambda_layer_target {
    struct slice name;
    uint64_t version; /* 0: the operation names none */
};
/* From the path's LayerName (a name, or an ARN of this server's) and VersionNumber.
 *   err  ValidationException; InvalidParameterValueException "Layer Version Cannot be less than 1"; AccessDeniedException for another account */
MUST_CHECK enum outcome lambda_layer_target_of(struct call *call, bool versioned, struct lambda_layer_target *out,
                                               struct error *err);
/* "arn:aws:lambda:REGION:ACCOUNT:layer:NAME[:VERSION]"; NUL-terminated, in the call's arena. */
const char *lambda_layer_arn(struct call *call, struct slice name, uint64_t version);
