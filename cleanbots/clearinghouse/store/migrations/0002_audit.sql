-- Who did what to which delivery.
CREATE TABLE audit (
    n {key},
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    reference TEXT NOT NULL
);
CREATE INDEX audit_reference ON audit (reference);
