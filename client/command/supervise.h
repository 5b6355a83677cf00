/* Child processes kept running: started, restarted with growing pauses, ended in order. Knows
 * nothing of brokers and workers but their order. Uses no ZeroMQ: a context does not survive
 * fork. */
#ifndef CLIENT_COMMAND_SUPERVISE_H
#define CLIENT_COMMAND_SUPERVISE_H

#include <stdint.h>

/* In the order in which they end. */
typedef enum {
    CHILD_PROBE, /* runs until it exits 0: then all of them can serve; is silent */
    CHILD_WORKER,
    CHILD_BROKER,
} child_kind;

typedef struct {
    child_kind kind;
    const char *name;        /* for messages */
    const char *const *argv; /* ends with NULL; argv[0] with a '/', or found by PATH */
} child_plan;

enum { SUPERVISE_CHILDREN_MAX = 32 };

typedef struct {
    const child_plan *plan;
    int children;
    int64_t drain_ms;   /* workers may take so long to end after SIGINT or SIGTERM */
    const char *prefix; /* of messages on standard error */
    const char *ready;  /* the line printed when the probe succeeded */
} supervise_options;

/* Until SIGINT or SIGTERM (the second one hurries) and everything has ended: 0. Negative when a
 * child cannot be kept running; a message has said why. */
int supervise(const supervise_options *o);

#endif
