/* gateway: what the web sees. Nothing to serve yet: every request is answered as API Gateway answers a route that is not there.
 * Thread: the loop's. */
#pragma once

#include "net/http.h"

void gateway_request(struct http_exchange *x, void *arg); /* an http_handler's request; `arg` is unused */
