-- Which intake last kept an accepted correction: written while a batch is staged, read when it is promoted.
-- Trust: who can change it can end a standing correction, which then shows as the department's own next value.
ALTER TABLE district.correction ADD COLUMN kept_by text;
