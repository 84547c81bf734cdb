CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE sites (no smallint PRIMARY KEY);
CREATE TABLE assets (
    id serial PRIMARY KEY,
    tag text NOT NULL,
    site_no smallint REFERENCES sites (no) ON DELETE SET NULL,
    made timestamp with time zone NOT NULL DEFAULT now()
);
CREATE TABLE devices (
    id serial PRIMARY KEY,
    label text NOT NULL,
    keeper_id integer REFERENCES assets (id) ON DELETE SET NULL,
    site_id smallint REFERENCES sites (no),
    state mood,
    made timestamp with time zone NOT NULL DEFAULT now(),
    grams double precision,
    note varchar(10)
);
INSERT INTO sites VALUES (1), (2);
INSERT INTO assets (tag, site_no) VALUES ('vault', 1), ('shelf', NULL);
INSERT INTO devices (label, keeper_id, site_id, state, made, grams, note) VALUES
    ('scale', 1, 1, 'good', '-infinity', '-0', 'x'),
    ('', NULL, NULL, NULL, DEFAULT, 'NaN', NULL),
    ('50% $ off', 2, NULL, 'bad', 'infinity', '-Infinity', ''),
    ('lamp', NULL, 2, 'good', DEFAULT, 1e-300, '    ');
