CREATE TABLE clubs (club_no bigint PRIMARY KEY, name text);
CREATE TABLE persons (
    id bigserial PRIMARY KEY,
    login text NOT NULL UNIQUE,
    enabled boolean NOT NULL DEFAULT true,
    joined date NOT NULL DEFAULT CURRENT_DATE,
    club_id bigint REFERENCES clubs (club_no) ON DELETE SET NULL
);
CREATE TABLE members (
    member_no bigserial PRIMARY KEY,
    full_name text,
    grade text,
    shoe_size smallint,
    points bigint,
    vip boolean DEFAULT false,
    nickname text,
    weight numeric(6, 3),
    tags text[],
    joined date NOT NULL DEFAULT '2000-01-01',
    badge uuid UNIQUE
);
CREATE TABLE visits (
    id serial PRIMARY KEY,
    member_no bigint NOT NULL REFERENCES members,
    at timestamp with time zone
);
CREATE TABLE loans (
    loan uuid PRIMARY KEY,
    borrower bigint REFERENCES members ON DELETE SET NULL,
    title varchar(40) NOT NULL DEFAULT ''
);
CREATE INDEX loans_borrower ON loans (borrower);
CREATE TABLE sessions (
    person_id bigint REFERENCES persons ON DELETE CASCADE,
    device text,
    PRIMARY KEY (person_id, device)
);
INSERT INTO clubs VALUES (7, 'North');
INSERT INTO persons (login, club_id) VALUES ('ann', 7), ('ben', NULL), ('cy', 7);
INSERT INTO members (member_no, full_name, grade, shoe_size, points, vip, nickname, weight, tags, joined, badge) VALUES
    (1, 'Ann of Green Gables', '1st; --best', 38, 5, true, 'A', 1.100, '{a,NULL,"b c"}', 'infinity', gen_random_uuid()),
    (2, ' ', 'it''s', 99, NULL, NULL, NULL, 'NaN', '{}', '-infinity', NULL),
    (3, '', 'N\A', -5, 0, false, '-', NULL, NULL, '0044-03-15 BC', gen_random_uuid()),
    (8000000000, 'Zoë ', E'A\nB', -6, 9223372036854775807, true, '', 0, '{""}', DEFAULT, NULL),
    (-9, NULL, 'unknown', NULL, -1, NULL, 'x', 999.999, '{{1,2},{3,4}}', DEFAULT, NULL);
SELECT setval('members_member_no_seq', 3, true);
INSERT INTO members (full_name, grade) VALUES ('no id of its own', '');
INSERT INTO visits (member_no, at) SELECT member_no, 'infinity' FROM members;
INSERT INTO loans (loan, borrower, title) SELECT gen_random_uuid(), member_no, 'lent' FROM members;
INSERT INTO loans (loan) VALUES (gen_random_uuid());
INSERT INTO sessions VALUES (1, 'phone'), (2, '');
