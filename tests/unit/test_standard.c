/* Programs started with standard files closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/standard.h"

/* In a child with the files of the mask closed: 0, or the number of the check that failed. */
static int child(unsigned closed)
{
    char byte = 0;
    for (int i = 0; i <= 2; i++)
        if (closed >> i & 1)
            close(i);
    standard_files_hold();
    if (open("/dev/null", O_RDWR) <= 2)
        return 1;
    if (closed & 1 && (read(0, &byte, 1) >= 0 || errno != EBADF))
        return 2;
    for (int i = 1; i <= 2; i++)
        if (closed >> i & 1 && (write(i, &byte, 1) >= 0 || errno != EBADF))
            return 3;
    return 0;
}

static void closed_files_are_held(void **state)
{
    (void)state;
    for (unsigned closed = 0; closed < 8; closed++) {
        int status;
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(child(closed));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(closed_files_are_held)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
