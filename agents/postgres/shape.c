#include "agents/postgres/shape.h"

/* A foreign key acts by triggers of its own, on the table that it names. */
const char shape_meddled_sql[] =
    "WITH o AS (SELECT DISTINCT u.oid::oid AS oid FROM unnest($1::int8[]) AS u(oid)),"
    " t AS (SELECT oid FROM o UNION SELECT p.relid::oid FROM o, pg_partition_tree(o.oid) p)"
    " SELECT EXISTS (SELECT FROM t JOIN pg_trigger g ON g.tgrelid = t.oid"
    "   LEFT JOIN pg_constraint k ON k.oid = g.tgconstraint"
    "   WHERE g.tgenabled IN ('O', 'A') AND (NOT g.tgisinternal OR k.contype = 'f' AND k.confrelid = g.tgrelid"
    "    AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))))"
    " OR EXISTS (SELECT FROM t JOIN pg_rewrite r ON r.ev_class = t.oid AND r.ev_enabled IN ('O', 'A'))";
