/* bench_device: what a device is and what it can do in this run: its class (versions of the
 * libraries among it), memory, matrix products, bandwidth. One line of JSON. */
#include <stdlib.h>

#include "bench/subject.h"
#include "bench/yardstick.h"
#include "proto/clock.h"

typedef struct {
    double to_gbs, from_gbs;
} link_rates;

/* GB/s to the device and back, ordinary memory of the host. */
static link_rates measure_link(dev *d, int64_t bytes)
{
    enum { TRIES = 5 };
    link_rates best = {0};
    const size_t mark = dev_mark(d);
    void *host = calloc(1, (size_t)bytes);
    tensor there = dev_tensor(d, U8, 1, 1, 1, bytes);
    for (int i = 0; host && i < TRIES; i++) {
        const double start = clock_seconds();
        dev_upload(d, there, host);
        const double half = clock_seconds();
        dev_download(d, host, there); /* after the upload, and waits for it */
        const double to = 1e-9 * (double)bytes / (half - start),
                     from = 1e-9 * (double)bytes / (clock_seconds() - half);
        best.to_gbs = to > best.to_gbs ? to : best.to_gbs;
        best.from_gbs = from > best.from_gbs ? from : best.from_gbs;
    }
    free(host);
    dev_release(d, mark);
    return best;
}

static int measure(json_t **figures, const dev_options *options, int64_t side, int64_t bytes,
                   err *e)
{
    char why[256];
    dev *d = dev_new(options, why);
    if (!d)
        return err_set(e, ERR_DEVICE, "%s", why);
    const link_rates rates = measure_link(d, bytes);
    const double bandwidth = yardstick_bandwidth(d, bytes), gflops = yardstick_gflops(d, side);
    if (d->status != DEV_OK)
        err_set(e, ERR_DEVICE, "%s", d->error);
    else
        *figures =
            json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "device", d->name, "class",
                      d->class_name, "hardware", d->hardware, "memory_gb",
                      1e-9 * (double)d->memory_bytes, "upload_gbs", rates.to_gbs, "download_gbs",
                      rates.from_gbs, "bandwidth_gbs", bandwidth, "gemm_gflops", gflops);
    dev_free(&d);
    return e->code;
}

int main(int argc, char **argv)
{
    subject s = {0};
    int64_t side, bytes;
    const option table[] = {
        SUBJECT_DEVICE(s),
        {"gemm", OPTION_INT, &side, "0", 0, 1 << 16, .help = "side of the matrices; 0: by device"},
        {"bytes", OPTION_BYTES, &bytes, "1G", 1 << 20, 1e11, .help = "of each array that is moved"},
        {"json", OPTION_FLAG, &s.json, .help = "one line of JSON"},
        {0}};
    err e = {0};
    option_result words;
    dev_options options;
    json_t *figures = NULL;
    if (option_parse(table, argc, argv, &words, &e) == ERR_OK && words.help)
        option_help(stdout, "bench_device [options]", table);
    else if (e.code == ERR_OK && subject_device(&s, &options, &e) == ERR_OK &&
             measure(&figures, &options, side, bytes, &e) == ERR_OK)
        subject_print(&s, figures);
    if (e.code != ERR_OK)
        fprintf(stderr, "bench_device: %s\n", e.text);
    return e.code == ERR_OK ? 0 : 1;
}
