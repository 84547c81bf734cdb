CREATE TABLE "user" (
    "unique" serial PRIMARY KEY,
    "authorization" text NOT NULL UNIQUE,
    "default" boolean NOT NULL DEFAULT true,
    "group" text NOT NULL DEFAULT 'any',
    "timestamp" timestamp with time zone NOT NULL DEFAULT now(),
    "from" integer CONSTRAINT "foreign" REFERENCES "user" ON DELETE SET NULL
);
CREATE TABLE "order" (
    "primary" serial PRIMARY KEY,
    "user" integer NOT NULL CONSTRAINT "references" REFERENCES "user" ON DELETE RESTRICT,
    "select" text NOT NULL,
    "case" text,
    "limit" integer,
    "null" boolean,
    "timestamp" timestamp with time zone NOT NULL DEFAULT now(),
    "end" bigint
);
CREATE TABLE "in" ("for" bigserial PRIMARY KEY, "order" integer REFERENCES "order" ON DELETE CASCADE, "analyze" text);
CREATE INDEX "asc" ON "in" ("order", "analyze");
CREATE TABLE "join" ("using" serial PRIMARY KEY, "order" integer CONSTRAINT "inner" REFERENCES "order" ON DELETE RESTRICT);
CREATE TABLE "column" ("do" integer PRIMARY KEY);
CREATE TABLE "grant" (
    "to" uuid PRIMARY KEY,
    "user" integer REFERENCES "user" ON DELETE CASCADE,
    "with" integer CONSTRAINT "only" REFERENCES "column" ON DELETE SET NULL,
    UNIQUE ("with", "user")
);
INSERT INTO "user" ("authorization", "group", "from") VALUES ('ann', 'grant', NULL), ('ben', 'any', 1), ('cy', 'any', 2);
INSERT INTO "order" ("user", "select", "case", "limit", "null", "end") VALUES
    (1, 'a b c', 'else', 5, true, 1), (2, '', 'then', 0, NULL, NULL), (2, ' x', 'other', NULL, false, -1), (3, 'w', NULL, 9, NULL, 7);
INSERT INTO "order" ("primary", "user", "select", "timestamp") VALUES (-1, 3, 'z', 'infinity'), (500, 1, 'far away', '-infinity');
INSERT INTO "in" ("order", "analyze") SELECT "primary", 'q' FROM "order";
INSERT INTO "in" ("analyze") VALUES ('alone');
INSERT INTO "join" ("order") SELECT "primary" FROM "order";
INSERT INTO "column" VALUES (1);
INSERT INTO "grant" VALUES (gen_random_uuid(), 1, 1), (gen_random_uuid(), 2, NULL);
