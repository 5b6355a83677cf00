/* Golden jobs: what the JSON files of tests/golden ask for, as settings by the names that the
 * command line and the client library know, and what their pictures have to be like. A new case
 * needs no code. */
#ifndef TESTS_SUPPORT_ASKED_H
#define TESTS_SUPPORT_ASKED_H

#include <jansson.h>
#include <stdbool.h>

#include "worker/image/image.h"

enum { ASKED_SETTINGS = 32, ASKED_FILE = 256 };

typedef struct {
    const char *name, *value;
    bool flag; /* its value is "true"; the command line takes the name alone */
} asked_setting;

/* Texts belong to the entry. */
typedef struct {
    const char *folder, *name, *result; /* of tests/golden; its pictures are called `result` */
    const char *task, *model;           /* model NULL: it needs none */
    char input[ASKED_FILE], mask[ASKED_FILE]; /* files of tests/golden; "": none */
    asked_setting setting[ASKED_SETTINGS];
    int settings;
    int pictures;
    char text[ASKED_SETTINGS][64]; /* of numbers and lists */
} asked;

/* The folders with golden jobs, each with a list FOLDER/FOLDER.json; NULL-ended. */
extern const char *const asked_folders[];

/* The entry `name` of a folder's list. Fails the test for a key or a word that is not known. */
void asked_read(asked *a, const char *folder, const char *name, const json_t *entry);

/* The golden file of its picture `index`. */
void asked_file(const asked *a, int index, char to[ASKED_FILE]);

/* Fails the test unless the picture is as near to the golden one as the data's makers demand. */
void asked_compare(const asked *a, int index, const image *got);

#endif
