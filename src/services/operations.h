/* services/operations: every row of every service's table, for docs/compatibility.md (scripts/compatibility.py) and the tests that walk
 * what is served. `hearth operations` (hidden) prints them. */
#pragma once

/* One JSON array on stdout: [{"service":"lambda","operation":"Invoke","method":"POST","path":"/...","action":"lambda:InvokeFunction"}, ...];
 * members that a family has no use for are null. */
void services_print_operations(void);
