/* stock: what a device needs by turns, in the host's memory, from where it is fetched. */
#ifndef KERNELS_STOCK_H
#define KERNELS_STOCK_H

#include "kernels/dev.h"

typedef struct {
    dev *d;
    char *at; /* all zeros at first */
    size_t bytes;
} stock;

/* False, with the device's error: there is no room. A device whose memory is the host's has its
 * stock in a file in $TMPDIR or /var/tmp, which the system may put away; others where they read it
 * fastest. */
bool stock_open(stock *s, dev *d, size_t bytes);
void stock_close(stock *s);

/* Copies from a stock of the device, after what ops did so far; ops may go on meanwhile. Counts as
 * an op of a walk (dev_run). */
void dev_fetch(dev *d, void *to, const void *from, size_t bytes);
/* Ops from here on find what was fetched. Belongs behind every dev_fetch, in the same walk. */
void dev_fetched(dev *d);

#endif
