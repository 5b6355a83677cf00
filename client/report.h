/* What the broker said, as JSON text for programs: keys in README.md. */
#ifndef CLIENT_REPORT_H
#define CLIENT_REPORT_H

#include <stdbool.h>

#include "proto/err.h"
#include "proto/overpaint.pb-c.h"

/* The service, or the one job the reply is about; malloc'ed. NULL: ERR_NO_MEMORY, ERR_NOT_FOUND. */
char *report_status(const Overpaint__StatusReply *r, bool one_job, err *e);

/* A result without its pictures' bytes; malloc'ed. */
char *report_result(const Overpaint__Result *r, err *e);

#endif
