SELECT pg_database_size(current_database()),
    (SELECT sum(pg_total_relation_size(t))::bigint FROM unnest(%(tables)s::regclass[]) AS t)
