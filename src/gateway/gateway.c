#include "gateway/gateway.h"

void gateway_request(struct http_exchange *x, void *arg)
{
    (void)arg;
    http_add_header(x, "Content-Type", SLICE("application/json"));
    http_respond(x, 404, SLICE("{\"message\":\"Not Found\"}"));
}
