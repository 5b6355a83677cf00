/* Where the data and the programs of the tests lie: in the source and the build folder, unless
 * OVERPAINT_GOLDEN, OVERPAINT_MODELS and OVERPAINT_PROGRAMS name others, as for a build that was
 * carried to another machine. */
#ifndef TESTS_SUPPORT_PLACES_H
#define TESTS_SUPPORT_PLACES_H

const char *place_golden(void);
/* Fixture models, which are made when they are missing. */
const char *place_models(void);
const char *place_programs(void);

#endif
