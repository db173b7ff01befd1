/* preview_json.h: what `selaras preview` is told. */
#ifndef SELARAS_PREVIEW_JSON_H
#define SELARAS_PREVIEW_JSON_H

#include "daemon/preview.h"
#include "proto/message.h"

/* Borrowed until the next call with `out`. */
const char *preview_json(struct buffer *out, const struct preview_result *result);

#endif
