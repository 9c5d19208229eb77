-- The keeper counts over sealed fields itself, of rows that the log vouches for: it reads which rows each batch wrote, and
-- the rows (each dataset's table is its owner's to open to it: ``store.roles``). It changes neither.
--
-- Trust: who has the keeper's role sees, besides wrapped keys, what lies plain in the district store, and ciphertext. Who
-- changes a row or a list makes the keeper refuse to count over its dataset.
GRANT SELECT ON district.written TO huanshu_keeper;
