#include "agents/postgres/warnings.h"

const char warnings_sql[] =
    "WITH slot AS (SELECT s.*, pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn) AS kept,"
    " nullif(pg_size_bytes(current_setting('max_slot_wal_keep_size')), -1048576) AS most"
    " FROM pg_replication_slots s WHERE s.slot_name = $1)"
    " SELECT 'max_slot_wal_keep_size is unlimited: an agent that is away for long fills the disk' FROM (SELECT 1) o"
    " WHERE current_setting('max_slot_wal_keep_size') = '-1'"
    " UNION ALL SELECT format('the replication slot %s keeps %s of the %s that it may: start the agent soon, or it is "
    "lost',"
    " slot_name, pg_size_pretty(kept), pg_size_pretty(most)) FROM slot WHERE wal_status <> 'lost' AND kept > most / 2"
    " UNION ALL SELECT format('the replication slot %s is %s: the next checkpoint may give it up', slot_name, "
    "wal_status)"
    " FROM slot WHERE wal_status = 'unreserved'"
    " UNION ALL SELECT format('the replication slot %s was given up, it kept more than max_slot_wal_keep_size: this "
    "agency"
    " must be loaded anew', slot_name) FROM slot WHERE wal_status = 'lost'"
    " UNION ALL SELECT format('nobody reads the replication slot %s, which keeps %s of log', slot_name, "
    "pg_size_pretty(kept))"
    " FROM slot WHERE NOT active AND wal_status <> 'lost'"
    " UNION ALL SELECT 'this agency was loaded, and its replication slot is gone: it must be loaded anew'"
    " FROM selaras.agent WHERE incarnation > 0 AND NOT EXISTS (SELECT FROM slot)"
    " UNION ALL SELECT format('synchronous_standby_names is %s, which takes the agent for a standby: each commit would "
    "wait"
    " for the broker. Name the standbys', current_setting('synchronous_standby_names')) FROM (SELECT 1) o"
    " WHERE current_setting('synchronous_standby_names') ~ '[*]' OR current_setting('synchronous_standby_names') LIKE "
    "'%' || $1"
    " || '%'"
    " UNION ALL SELECT 'wal_sender_timeout is 0: the slot of an agent whose host is gone stays in use' FROM (SELECT 1) "
    "o"
    " WHERE current_setting('wal_sender_timeout') = '0'";

const char *warnings_read(struct arena *arena, const PGresult *result)
{
    const char *lines = "";

    for (int row = 0; row < PQntuples(result); row++)
        lines = arena_printf(arena, "%s%s%s", lines, row > 0 ? "\n" : "", PQgetvalue(result, row, 0));
    return lines;
}
