/* quern_status.h - how every function of quern that can fail says so.
 * SPDX-License-Identifier: MIT
 * Installed beside quern.h. A function returns a status (0 is success) and, when it fails, fills the
 * caller's struct quern_error with one line: file, place, what was found, what is allowed. */
#ifndef QUERN_STATUS_H
#define QUERN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

enum quern_status {
    QUERN_OK = 0,
    QUERN_IO,          /* the system refused: open, read, write, map, rename */
    QUERN_FORMAT,      /* a file's bytes break its format or contradict each other */
    QUERN_UNSUPPORTED, /* well-formed, but not something this build can use */
    QUERN_RANGE,       /* an argument is outside its documented range */
    QUERN_MEMORY,      /* an allocation failed */
    QUERN_CONTEXT,     /* the tokens do not fit into the session's context */
    QUERN_INTERRUPTED, /* the caller's interrupt function asked to stop */
};

/* status: as returned. text: one line without a newline and without control characters, UTF-8,
 * always terminated; empty before the first failure. Plain data: copy it, no need to free it. */
struct quern_error {
    enum quern_status status;
    char text[1024];
};

#ifdef __cplusplus
}
#endif
#endif
