-- A destroyed key leaves the key table's file too: what was deleted lies there until the table is written anew. Since
-- PostgreSQL 17 that can be granted; before it, the owner does it (docs/security.md).
DO $$ BEGIN
    IF current_setting('server_version_num')::integer >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON keys.wrapped TO huanshu_keeper';
    END IF;
END $$;
