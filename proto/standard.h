/* Standard input, output and error: three descriptors that every program must own. */
#ifndef PROTO_STANDARD_H
#define PROTO_STANDARD_H

/* Call first in main. A standard file that the parent left closed would become the number of the
 * next socket or lock file, and what is printed or logged would be written there. */
void standard_files_hold(void);

#endif
