/* A folder of pictures: one job for each, several under way at once. */
#ifndef CLIENT_COMMAND_MANY_H
#define CLIENT_COMMAND_MANY_H

#include "client/command/request.h"

/* Sends a job for every picture below `input`; results go to the same names below r->output.
 * Nothing is overwritten: pictures whose result is there already are left out. An exit code. */
int many_run(call *c, const request *r, const char *input);

#endif
