/* Where data and programs of the tests lie: see places.h. */
#include "tests/support/places.h"

#include <stdlib.h>

static const char *place(const char *variable, const char *usual)
{
    const char *other = getenv(variable);
    return other ? other : usual;
}

const char *place_golden(void)
{
    return place("OVERPAINT_GOLDEN", GOLDEN_DIR);
}

const char *place_models(void)
{
    return place("OVERPAINT_MODELS", MODELS_DIR);
}

const char *place_programs(void)
{
    return place("OVERPAINT_PROGRAMS", BIN_DIR);
}
