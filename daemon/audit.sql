-- What auditors read, by psql or any other client: selaras-ledger(7). Made anew when this file or the catalog has changed.
-- Nothing here shows a personal value whole; `selaras ... --reveal` does, and leaves an entry.

-- What the catalog in force says of each field.
CREATE TABLE IF NOT EXISTS selaras.field (
    type          text     NOT NULL,
    name          text     NOT NULL,
    personal      boolean  NOT NULL,
    identifier    boolean  NOT NULL,
    PRIMARY KEY (type, name)
);

-- As `selaras` does: the first four and the last two characters of a value of at least twelve.
CREATE OR REPLACE FUNCTION selaras.mask(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value IS NULL THEN NULL WHEN length(value) < 12 THEN '****'
                ELSE left(value, 4) || repeat('*', least(length(value) - 6, 10)) || right(value, 2) END
$$;

-- A field that the catalog does not know counts as personal.
CREATE OR REPLACE FUNCTION selaras.shown(of_type text, of_field text, value text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN (SELECT personal FROM selaras.field WHERE type = of_type AND name = of_field) IS FALSE THEN value
                ELSE selaras.mask(value) END
$$;

CREATE OR REPLACE FUNCTION selaras.unpack_number(bytes bytea, at integer, size integer) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    number numeric := 0;
BEGIN
    FOR i IN at .. at + size - 1 LOOP
        number := number * 256 + get_byte(bytes, i);
    END LOOP;
    RETURN number;
END $$;

-- One MessagePack value of those that entries hold (PROTOCOL 2): nil, boolean, integer, text, bytes (as hexadecimal), list.
CREATE OR REPLACE FUNCTION selaras.unpack_at(bytes bytea, at integer, OUT value jsonb, OUT next integer) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    tag integer := get_byte(bytes, at);
    size integer;
    count integer;
    number numeric;
    element record;
BEGIN
    next := at + 1;
    IF tag < 128 THEN
        value := to_jsonb(tag);
    ELSIF tag BETWEEN 144 AND 159 THEN
        count := tag - 144;
    ELSIF tag BETWEEN 160 AND 191 THEN
        size := tag - 160;
    ELSIF tag = 192 THEN
        value := 'null';
    ELSIF tag IN (194, 195) THEN
        value := to_jsonb(tag = 195);
    ELSIF tag BETWEEN 196 AND 198 THEN
        size := 1 << (tag - 196);
        number := selaras.unpack_number(bytes, next, size);
        value := to_jsonb(encode(substr(bytes, next + size + 1, number::integer), 'hex'));
        next := next + size + number::integer;
    ELSIF tag BETWEEN 204 AND 211 THEN
        size := 1 << ((tag - 204) % 4);
        number := selaras.unpack_number(bytes, next, size);
        IF tag >= 208 AND number >= 2::numeric ^ (8 * size - 1) THEN
            number := number - 2::numeric ^ (8 * size);
        END IF;
        value := to_jsonb(number);
        next := next + size;
        size := NULL;
    ELSIF tag BETWEEN 217 AND 219 THEN
        count := 1 << (tag - 217);
        size := selaras.unpack_number(bytes, next, count)::integer;
        next := next + count;
        count := NULL;
    ELSIF tag IN (220, 221) THEN
        size := CASE tag WHEN 220 THEN 2 ELSE 4 END;
        count := selaras.unpack_number(bytes, next, size)::integer;
        next := next + size;
        size := NULL;
    ELSIF tag >= 224 THEN
        value := to_jsonb(tag - 256);
    ELSE
        RAISE EXCEPTION 'no entry holds a value that begins with byte %', tag;
    END IF;
    IF count IS NOT NULL THEN
        value := '[]';
        FOR i IN 1 .. count LOOP
            element := selaras.unpack_at(bytes, next);
            value := value || jsonb_build_array(element.value);
            next := element.next;
        END LOOP;
    ELSIF size IS NOT NULL AND value IS NULL THEN
        value := to_jsonb(convert_from(substr(bytes, next + 1, size), 'UTF8'));
        next := next + size;
    END IF;
END $$;

-- An entry's body; NULL when it has none or is not what this version knows.
CREATE OR REPLACE FUNCTION selaras.unpack(bytes bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF bytes IS NULL OR length(bytes) = 0 THEN
        RETURN NULL;
    END IF;
    RETURN (selaras.unpack_at(bytes, 0)).value;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- The ledger, a row for each field of each entry.
CREATE OR REPLACE VIEW selaras.change_log AS
    SELECT e.position, e.time, e.kind, e.agency, e.type, e.record, e.operation,
           f.name AS field, f.verdict, f.rule,
           selaras.shown(e.type, f.name, c.change ->> 2) AS old, selaras.shown(e.type, f.name, c.change ->> 1) AS new,
           b.content ->> 4 AS actor, b.content ->> 5 AS ground, e.commit_time,
           CASE WHEN e.kind NOT IN ('change', 'item', 'catalog', 'mapping')
                     AND NOT (e.kind IN ('hold released', 'hold rejected', 'same', 'different', 'given up')
                              AND e.record > 0 AND e.operation <> 'none') THEN selaras.unpack(e.body) ->> 1 END AS says,
           e.catalog, e.other
      FROM selaras.entry e
      LEFT JOIN LATERAL unnest(e.fields, e.verdicts, e.rules) AS f(name, verdict, rule) ON true
      LEFT JOIN LATERAL (SELECT selaras.unpack(e.body) AS content
                          WHERE e.kind = 'change' OR (e.kind IN ('hold released', 'hold rejected', 'same', 'different', 'given up')
                                                     AND e.record > 0 AND e.operation <> 'none')) b ON true
      LEFT JOIN LATERAL (SELECT x AS change FROM jsonb_array_elements(b.content -> 3) x WHERE x ->> 0 = f.name) c ON true;

-- When each agency had applied all that it is fed up to an entry; NULL: not yet.
CREATE OR REPLACE FUNCTION selaras.arrival(entry bigint) RETURNS TABLE (agency text, applied_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT a.name, (SELECT p.time FROM selaras.applied p WHERE p.agency = a.id AND p.position >= entry ORDER BY p.position LIMIT 1)
      FROM selaras.agency a ORDER BY a.name
$$;

-- The record with this identifier, for whoever knows it: the canonical tables themselves are not for auditors.
CREATE OR REPLACE FUNCTION selaras.record_number(of_type text, identifier text, value text) RETURNS bigint LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM selaras.field f WHERE f.type = of_type AND f.name = record_number.identifier AND f.identifier) THEN
        RAISE EXCEPTION 'the catalog has no identifier % of %', identifier, of_type USING ERRCODE = 'undefined_object';
    END IF;
    EXECUTE format('SELECT number FROM selaras.%I WHERE %I::text = $1', of_type, identifier) INTO found USING value;
    RETURN found;
END $$;
REVOKE EXECUTE ON FUNCTION selaras.record_number(text, text, text) FROM PUBLIC;

-- Each record type as it is now, personal values masked: selaras.resident_masked. Columns are only ever added behind the others.
CREATE OR REPLACE FUNCTION selaras.audit_views() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    of_type text;
    columns text;
BEGIN
    FOR of_type IN SELECT DISTINCT type FROM selaras.field LOOP
        SELECT string_agg(CASE WHEN f.personal IS FALSE THEN format('%I::text AS %I', a.attname, a.attname)
                               ELSE format('selaras.mask(%I::text) AS %I', a.attname, a.attname) END, ', ' ORDER BY a.attnum)
          INTO columns
          FROM pg_catalog.pg_attribute a LEFT JOIN selaras.field f ON f.type = of_type AND f.name = a.attname
         WHERE a.attrelid = format('selaras.%I', of_type)::regclass AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attname NOT IN ('number', 'exists', 'meta');
        EXECUTE format('CREATE OR REPLACE VIEW selaras.%I AS SELECT number, exists, %s FROM selaras.%I',
                       of_type || '_masked', columns, of_type);
    END LOOP;
END $$;

-- Rights of the two roles that a DBA may make (CREATE ROLE selaras_auditor; CREATE ROLE selaras_reader): the broker calls this whenever
-- it starts. An auditor sees who changed what, when and why, but no personal value; a reader may read everything (`selaras log`).
CREATE OR REPLACE FUNCTION selaras.audit_grants() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'selaras_auditor') THEN
        GRANT USAGE ON SCHEMA selaras TO selaras_auditor;
        GRANT SELECT (position, time, kind, agency, incarnation, lsn, number, base, commit_time, type, record, other, refers,
                      operation, fields, verdicts, rules, catalog, boundary, leaf) ON selaras.entry TO selaras_auditor;
        GRANT SELECT ON selaras.state, selaras.catalog, selaras.agency, selaras.applied, selaras.debt, selaras.altered, selaras.hold, selaras.held, selaras.field,
                        selaras.change_log TO selaras_auditor;
        GRANT EXECUTE ON FUNCTION selaras.record_number(text, text, text) TO selaras_auditor;
        FOR one IN SELECT DISTINCT type FROM selaras.field LOOP
            EXECUTE format('GRANT SELECT ON selaras.%I TO selaras_auditor', one.type || '_masked');
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'selaras_reader') THEN
        GRANT USAGE ON SCHEMA selaras TO selaras_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA selaras TO selaras_reader;
        GRANT EXECUTE ON FUNCTION selaras.record_number(text, text, text) TO selaras_reader;
    END IF;
END $$;
