/* server: puts the rooms together and runs them: struct server owns all state. `hearth serve` is server_main.
 * Start: config -> data directory (0700, locked) -> bind both listeners -> fork the keeper -> drop rights -> store, keys, logs, packages, engine
 * -> listen -> DIR/endpoints.json, credentials, config -> sd_notify READY -> loop. SIGTERM, SIGINT: drain, then end; a second one: at once. */
#pragma once

int server_main(int argc, char **argv); /* argv behind "serve"; the exit status */
