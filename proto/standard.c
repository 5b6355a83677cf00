/* Standard files: see standard.h. The one idea: /dev/null takes the place of a closed one, opened
 * the wrong way round, so that using it still fails. */
#include "proto/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void standard_files_hold(void)
{
    /* In ascending order: open gives the lowest number that is free. */
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; number++)
        if (fcntl(number, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return; /* then nothing else can be opened either */
}
