#include "proto/record.h"

#include <assert.h>

const char *operation_name(enum operation operation)
{
    static const char *const names[OPERATION_COUNT] = {
        [OPERATION_NONE] = "none",     [OPERATION_INSERT] = "insert", [OPERATION_UPDATE] = "update",
        [OPERATION_DELETE] = "delete", [OPERATION_LOAD] = "load",
    };

    assert(operation < OPERATION_COUNT);
    return names[operation];
}

const char *report_name(enum report_kind kind)
{
    static const char *const names[REPORT_COUNT] = {
        [REPORT_NONE] = "none",         [REPORT_SKIPPED] = "skipped", [REPORT_PARKED] = "parked",
        [REPORT_RELEASED] = "released", [REPORT_CLOSED] = "closed",   [REPORT_LINKED] = "linked",
        [REPORT_LATE] = "late",         [REPORT_ALTERED] = "altered", [REPORT_COMPLETE] = "complete",
    };

    assert(kind < REPORT_COUNT);
    return names[kind];
}
