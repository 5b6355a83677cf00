/* overpaint: reads the environment, once, and leaves the rest to the commands. */
#include <stdlib.h>

#include "client/command/command.h"
#include "proto/standard.h"

int main(int argc, char **argv)
{
    const surroundings around = {.endpoint = getenv("OVERPAINT_ENDPOINT"),
                                 .runtime_dir = getenv("XDG_RUNTIME_DIR"),
                                 .data_home = getenv("XDG_DATA_HOME"),
                                 .home = getenv("HOME")};
    standard_files_hold();
    return command_main(&around, argc, argv);
}
