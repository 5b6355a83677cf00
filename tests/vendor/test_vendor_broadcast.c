/* Weights from one emulated GPU to another: by NCCL; and by copies between peers when it is not
 * there, refuses a call, breaks off or hangs. Nothing is lost, nothing is kept, and what brought
 * the bytes is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/backend.h"
#include "tests/vendor/vendor.h"

/* More than one portion, and the last one is odd; or a part of one. */
enum { MANY = (40 << 20) + 13, FEW = 4321, MAPPED = 42 << 20 };
#define LIBRARY "NCCL 2.99.7"

static const vendor_controls *vendor;

/* ---------------------------------------------------------------- two GPUs */

typedef struct {
    dev *d[2];
    arena weights[2];
    unsigned char *sent, *got;
} bench;

static tensor bytes_at(char *p, int64_t bytes)
{
    return tensor_of(p, U8, 1, 1, 1, bytes);
}

static dev *open_device(int ordinal)
{
    char why[256];
    const dev_options o = {.backend = "cuemu", .ordinal = ordinal, .scratch_bytes = ARENA_STEP};
    dev *d = dev_new(&o, why);
    if (!d)
        fail_msg("%s", why);
    return d;
}

static void open_bench(bench *b)
{
    *b = (bench){.sent = malloc(MANY), .got = malloc(MANY)};
    assert_true(b->sent && b->got);
    for (int i = 0; i < MANY; i++)
        b->sent[i] = (unsigned char)(i * 7 + i / 1000);
    for (int i = 0; i < 2; i++) {
        bool good;
        b->d[i] = open_device(i);
        assert_true(dev_arena(b->d[i], &b->weights[i], MAPPED));
        arena_take(&b->weights[i], MAPPED, &good);
        assert_true(good);
    }
    dev_upload(b->d[0], bytes_at(b->weights[0].base, MANY), b->sent);
    dev_wait(b->d[0]);
}

static void close_bench(bench *b)
{
    for (int i = 0; i < 2; i++) {
        arena_done(&b->weights[i]);
        dev_free(&b->d[i]);
    }
    free(b->sent);
    free(b->got);
    const char *report = vendor->reported();
    if (report)
        fail_msg("reported: %s", report);
    assert_int_equal(vendor->taken(), 0);
}

/* Zeros first, so that what a copy before has left does not count. */
static void send_weights(bench *b, int64_t bytes)
{
    memset(b->got, 0, (size_t)bytes);
    dev_upload(b->d[1], bytes_at(b->weights[1].base, bytes), b->got);
    b->d[1]->carrier[0] = 0;
    dev_copy(b->d[1], bytes_at(b->weights[1].base, bytes), b->d[0],
             bytes_at(b->weights[0].base, bytes), COPY_ONCE);
}

static void assert_there(bench *b, int64_t bytes)
{
    assert_int_equal(b->d[1]->status, DEV_OK);
    dev_download(b->d[1], b->got, bytes_at(b->weights[1].base, bytes));
    if (memcmp(b->got, b->sent, (size_t)bytes))
        fail_msg("other bytes, %s", b->d[1]->carrier);
}

static void assert_carrier(const bench *b, const char *wanted)
{
    if (!strstr(b->d[1]->carrier, wanted))
        fail_msg("brought by \"%s\", expected \"%s\"", b->d[1]->carrier, wanted);
}

/* ---------------------------------------------------------------- tests */

static void by_nccl(void **state)
{
    (void)state;
    static const int64_t sizes[] = {MANY, FEW, 1, 32 << 20};
    bench b;
    open_bench(&b);
    const size_t before = vendor->taken();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        send_weights(&b, sizes[i]);
        assert_int_equal(vendor->taken(), before);
        assert_string_equal(b.d[1]->carrier, LIBRARY);
        assert_there(&b, sizes[i]);
    }
    close_bench(&b);
}

/* What every step copies does not wait for communicators. */
static void not_what_changes_often(void **state)
{
    (void)state;
    bench b;
    open_bench(&b);
    dev_copy(b.d[1], bytes_at(b.weights[1].base, FEW), b.d[0], bytes_at(b.weights[0].base, FEW),
             COPY_OFTEN);
    assert_string_equal(b.d[1]->carrier, "");
    assert_there(&b, FEW);
    close_bench(&b);
}

static void peers_instead(void **state)
{
    (void)state;
    static const struct {
        const char *setting, *why;
    } ways[] = {
        {"absent", "peer copies: /nowhere/libnccl.so.2: cannot open"},
        {"breaks", "peer copies: " LIBRARY ": on its way: remote error"},
        {"hangs", "peer copies: " LIBRARY ": nothing came within"},
    };
    bench b;
    open_bench(&b);
    const size_t before = vendor->taken();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        setenv("OVERPAINT_VENDOR_NCCL", ways[i].setting, 1);
        send_weights(&b, FEW);
        unsetenv("OVERPAINT_VENDOR_NCCL");
        assert_carrier(&b, ways[i].why);
        assert_int_equal(vendor->taken(), before);
        assert_there(&b, FEW);
    }
    send_weights(&b, FEW); /* nothing of this stays */
    assert_carrier(&b, LIBRARY);
    assert_there(&b, FEW);
    close_bench(&b);
}

static void fail_at(long n, const char *kind)
{
    char text[64];
    snprintf(text, sizeof text, "%ld%s", n, kind);
    vendor->fail_at(text);
}

/* The n-th call of a copy fails. Whether it came to that. */
static bool survives(bench *b, long n, int *peers)
{
    memset(b->got, 0, FEW);
    dev_upload(b->d[1], bytes_at(b->weights[1].base, FEW), b->got);
    dev_wait(b->d[1]);
    b->d[1]->carrier[0] = 0;
    fail_at(n, "");
    dev_copy(b->d[1], bytes_at(b->weights[1].base, FEW), b->d[0], bytes_at(b->weights[0].base, FEW),
             COPY_ONCE);
    const bool met = vendor->calls() >= n;
    vendor->fail_at(NULL);
    if (b->d[1]->status != DEV_OK) { /* the very first call, before there is a choice */
        assert_true(met && b->d[1]->status == DEV_NO_MEMORY && b->d[1]->carrier[0] == 0);
        dev_clear(b->d[1]);
        return true;
    }
    const bool copied = !strncmp(b->d[1]->carrier, "peer copies: ", 13);
    *peers += copied;
    if (!copied)
        assert_string_equal(b->d[1]->carrier, LIBRARY);
    assert_there(b, FEW);
    return met;
}

static void any_call_is_refused(void **state)
{
    (void)state;
    int peers = 0;
    long n = 1;
    bench b;
    open_bench(&b);
    const size_t before = vendor->taken();
    for (; survives(&b, n, &peers); n++)
        assert_int_equal(vendor->taken(), before);
    print_message("%ld calls, %d times by peer copies\n", n, peers);
    assert_true(peers > 20 && peers >= n - 12); /* closing may fail, after all is there */
    close_bench(&b);
}

/* In a process of its own, because what is lost stays so. 0: it came to that; 1: not that far; 2:
 * something is wrong. */
static int loses(long n)
{
    bench b;
    open_bench(&b);
    fail_at(n, ":sticky");
    send_weights(&b, FEW);
    dev_wait(b.d[1]);
    const bool met = vendor->calls() >= n, broken = b.d[1]->status == DEV_BROKEN;
    if (met != broken)
        fprintf(stderr, "call %ld: status %d: %s\n", n, b.d[1]->status, b.d[1]->carrier);
    for (int i = 0; i < 2; i++) {
        arena_done(&b.weights[i]);
        dev_free(&b.d[i]);
    }
    const char *report = vendor->reported();
    if (report)
        fprintf(stderr, "call %ld: reported: %s\n", n, report);
    return report || met != broken ? 2 : !met;
}

static void lost_at_any_call(void **state)
{
    (void)state;
    long n = 1, tried = 0;
    for (int status = 0; !status; n += 1 + n / 6, tried++) {
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0)
            _exit(loses(n));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    }
    print_message("%ld calls, %ld tried\n", n, tried);
    assert_true(tried > 10);
}

/* Finds the module that dev_new will load, and two GPUs in it. */
static int load(void **state)
{
    (void)state;
    setenv("OVERPAINT_VENDOR_DEVICES", "2", 1);
    void *module = dlopen(VENDOR_MODULE, RTLD_NOW | RTLD_LOCAL);
    const vendor_controls *(*controls)(void) =
        module ? (const vendor_controls *(*)(void))dlsym(module, "overpaint_vendor") : NULL;
    vendor = controls ? controls() : NULL;
    return vendor == NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_nccl),          cmocka_unit_test(not_what_changes_often),
        cmocka_unit_test(peers_instead),    cmocka_unit_test(any_call_is_refused),
        cmocka_unit_test(lost_at_any_call),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
