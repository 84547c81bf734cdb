SELECT quote_ident(e.evtname), e.evtevent::text, e.evtfoid::regprocedure::text
FROM pg_event_trigger AS e WHERE e.evtenabled <> 'D' ORDER BY 1
