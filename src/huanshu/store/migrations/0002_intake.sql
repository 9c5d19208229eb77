-- An intake draws the numbers of a whole extract from the sequences first, then stores them in the order of the links.
GRANT USAGE ON SEQUENCE district.subject_ordinal_seq, district.record_record_seq TO huanshu_app;
