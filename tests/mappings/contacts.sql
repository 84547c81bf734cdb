CREATE TABLE people (id serial PRIMARY KEY, label text);
CREATE TABLE contacts (id serial PRIMARY KEY, phone text);
CREATE INDEX contacts_phone ON contacts (phone);
COMMENT ON TABLE contacts IS 'whom to call';
COMMENT ON COLUMN people.label IS 'it''s theirs';
INSERT INTO people (label) VALUES ('Ann'), (NULL), ('');
INSERT INTO contacts (id, phone) VALUES (2, '+1'), (3, NULL), (70, ''), (-4, ' e' || chr(769) || ' '), (5, E'\\');
