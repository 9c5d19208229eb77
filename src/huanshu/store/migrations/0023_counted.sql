-- Which sets of people a reader was told the numbers of, one row a question, sealed by the keeper: what the next question
-- is judged against.
--
-- Trust: the entry of the question binds the sealed row by digest. Who changes or deletes one ends that reader's counting
-- of that dataset; nobody gains an answer by it.
CREATE SCHEMA told;
CREATE TABLE told.counted (
    kept   bytea PRIMARY KEY CHECK (length(kept) = 32),       -- SHA-256 of what is sealed
    sealed bytea NOT NULL
);
GRANT USAGE ON SCHEMA told TO huanshu_keeper;
GRANT SELECT, INSERT ON told.counted TO huanshu_keeper;
