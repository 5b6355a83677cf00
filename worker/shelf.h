/* shelf: the models that the engines of one worker have loaded, so that a file is read, converted
 * and packed once: an engine that wants what another one has, or is just reading, copies the
 * weights from that device. Thread-safe.
 *
 * Nobody waits in a circle: who reads waits for nobody; who copies only for its own device; who
 * lets a model go, for those who copy it; and who waits for a reader can be stopped. */
#ifndef WORKER_SHELF_H
#define WORKER_SHELF_H

#include "worker/model/model.h"
#include "worker/models.h"

typedef struct shelf shelf;
typedef struct shelved shelved;

shelf *shelf_new(err *e);
void shelf_free(shelf **s); /* every place was given back */

/* The model of a file on d, copied or read, as model_load does it with d's options; ERR_CANCELLED
 * when d was stopped while another engine read the file. *place is to be given back before the
 * model is freed; NULL with an error. No shelf: read, and no place. */
model *shelf_load(shelf *s, dev *d, const model_file *file, shelved **place, err *e);
void shelf_give_back(shelf *s, shelved **place);

#endif
