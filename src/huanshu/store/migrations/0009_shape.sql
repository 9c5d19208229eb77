-- In which shape a receiver holds its slice: which fields, at which rungs, how stored (``exchange.due.shape_of``). When
-- a flow's fields change, what a receiver holds in another shape is due again, all of it; versions alone would say that
-- nothing is. What was delivered before this migration has no shape, and is delivered once more.
--
-- Trust: as district.delivery. Who changes a shape makes a slice due again, or keeps a receiver without a new field.

ALTER TABLE district.delivery ADD COLUMN shape text;
-- The delivery that was booked last. Its shape is the slice's: one in another shape replaces all there was.
ALTER TABLE district.delivered ADD COLUMN last text;
