-- Numbers of records and subjects by the million: drawn as one range, stored first and indexed after when a register is
-- still empty (docs/decisions/0019-loaded-then-indexed.md). An index kept up row by row costs twice what making it does.
--
-- Trust: the tables stay the owner's. What is new to huanshu_app is to ask that an empty register be indexed at the end of
-- the transaction instead of row by row; it cannot commit one that lacks its keys, nor set a sequence back.

-- ``count`` numbers from the answer on, never given out before or again: whoever draws waits for who is drawing.
CREATE FUNCTION district.draw_numbers(register text, count bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    drawn  regclass := CASE register WHEN 'record' THEN 'district.record_record_seq'
                                     WHEN 'subject' THEN 'district.subject_ordinal_seq' END;
    lowest bigint;
BEGIN
    IF drawn IS NULL OR count IS NULL OR count < 1 THEN
        RAISE EXCEPTION 'no such draw';
    END IF;
    PERFORM pg_advisory_lock(hashtextextended('draw/' || register, 0));
    lowest := nextval(drawn);
    PERFORM setval(drawn, lowest + count - 1);
    PERFORM pg_advisory_unlock(hashtextextended('draw/' || register, 0));
    RETURN lowest;
END $$;

-- Registers whose keys are to be made before the transaction ends; empty between transactions.
CREATE TABLE district.number_load (register text NOT NULL);

-- Takes the keys of an empty register away until the end of the transaction; false, and nothing done, when it is not
-- empty or somebody else is at it.
CREATE FUNCTION district.index_after(register text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    filled boolean;
BEGIN
    IF register IS NULL OR register NOT IN ('record', 'subject') THEN
        RAISE EXCEPTION 'no such register';
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM district.%I)', register) INTO filled;
    IF filled THEN
        RETURN false;
    END IF;
    BEGIN
        EXECUTE format('LOCK TABLE district.%I IN ACCESS EXCLUSIVE MODE NOWAIT', register);
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END;
    EXECUTE format('SELECT EXISTS (SELECT FROM district.%I)', register) INTO filled;
    IF filled THEN
        RETURN false;
    END IF;
    IF register = 'record' THEN
        ALTER TABLE district.record DROP CONSTRAINT record_pkey, DROP CONSTRAINT record_record_key;
    ELSE
        ALTER TABLE district.subject DROP CONSTRAINT subject_pkey, DROP CONSTRAINT subject_ordinal_key;
    END IF;
    INSERT INTO district.number_load VALUES (register);
    RETURN true;
END $$;

CREATE FUNCTION district.index_numbers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.register = 'record' THEN
        ALTER TABLE district.record ADD CONSTRAINT record_pkey PRIMARY KEY (dataset, link),
            ADD CONSTRAINT record_record_key UNIQUE (record);
    ELSE
        ALTER TABLE district.subject ADD CONSTRAINT subject_pkey PRIMARY KEY (kind, link),
            ADD CONSTRAINT subject_ordinal_key UNIQUE (ordinal);
    END IF;
    DELETE FROM district.number_load WHERE register = NEW.register;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER number_load_indexed AFTER INSERT ON district.number_load
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION district.index_numbers();

REVOKE ALL ON FUNCTION district.draw_numbers, district.index_after, district.index_numbers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION district.draw_numbers, district.index_after TO huanshu_app;
GRANT SELECT ON district.number_load TO huanshu_app;
REVOKE USAGE ON SEQUENCE district.subject_ordinal_seq, district.record_record_seq FROM huanshu_app;
