-- Small durable facts: flags such as "stop", the epoch.
CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Counters whose row lock also puts writers in a queue.
CREATE TABLE numbers (
    name TEXT PRIMARY KEY,
    last BIGINT NOT NULL
);

CREATE TABLE kinds (
    n {key},
    taxonomy TEXT NOT NULL,
    type TEXT NOT NULL,
    identifier TEXT NOT NULL,
    UNIQUE (taxonomy, type, identifier)
);

CREATE TABLE deliveries (
    n {key},
    member TEXT NOT NULL,
    delivery TEXT NOT NULL,
    UNIQUE (member, delivery)
);

-- What many rows share (payload): matches as JSON, headers of reports.
CREATE TABLE shared (
    n {key},
    hash {blob} NOT NULL UNIQUE,
    data {blob} NOT NULL,
    used BIGINT NOT NULL
);

-- The number is the id. Address and host are payload: they go when their retention ends, the rest stays.
CREATE TABLE findings (
    n {key},
    version SMALLINT NOT NULL,
    kind BIGINT NOT NULL,
    address {blob},
    host TEXT,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    times_seen BIGINT NOT NULL
);
CREATE INDEX findings_address ON findings (address) WHERE address IS NOT NULL;
CREATE INDEX findings_host ON findings (host) WHERE host IS NOT NULL;

-- Numbers rise with the time of recording. The payload goes when its retention ends.
CREATE TABLE events (
    n {key},
    id TEXT NOT NULL UNIQUE,
    finding BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    severity SMALLINT NOT NULL,
    payload {blob}
);

-- One observation for one delivery. Outcome: 0 owed, 1 mentioned, 2 suppressed, 3 counted as still, 4 dropped.
-- Digest: the one that told or counted it, NULL before, 0 if none ever will.
CREATE TABLE dues (
    delivery BIGINT NOT NULL,
    event BIGINT NOT NULL,
    match BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    urgent SMALLINT NOT NULL,
    strict SMALLINT NOT NULL,
    outcome SMALLINT NOT NULL,
    reason TEXT NOT NULL,
    digest BIGINT,
    PRIMARY KEY (delivery, event)
) {clustered};
-- The last column makes it cover the sums over what is owed.
CREATE INDEX dues_open ON dues (delivery, outcome, recorded, urgent, strict, digest) WHERE digest IS NULL;

-- What a delivery was told of a finding, apart for preview, test and live.
CREATE TABLE mentions (
    delivery BIGINT NOT NULL,
    mode SMALLINT NOT NULL,
    finding BIGINT NOT NULL,
    digest BIGINT NOT NULL,
    mentioned BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    PRIMARY KEY (delivery, mode, finding)
) {clustered};

CREATE TABLE digests (
    n {key},
    reference TEXT NOT NULL UNIQUE,
    delivery BIGINT NOT NULL REFERENCES deliveries (n),
    channel TEXT NOT NULL,
    kind TEXT NOT NULL,
    mode TEXT NOT NULL,
    state TEXT NOT NULL,
    why TEXT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    created BIGINT NOT NULL,
    listed BIGINT NOT NULL,
    summary TEXT NOT NULL,
    members_version TEXT NOT NULL,
    config_version TEXT NOT NULL
);
CREATE INDEX digests_delivery ON digests (delivery, created);
CREATE INDEX digests_created ON digests (created);
CREATE INDEX digests_state ON digests (state, channel);

-- What a digest lists, in its order.
CREATE TABLE entries (
    digest BIGINT NOT NULL,
    position BIGINT NOT NULL,
    finding BIGINT NOT NULL,
    event BIGINT NOT NULL,
    match BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    times_seen BIGINT NOT NULL,
    before BIGINT,
    PRIMARY KEY (digest, position)
) {clustered};
CREATE INDEX entries_finding ON entries (finding);

-- Ledger of what was rendered for one recipient; the envelope is its payload.
CREATE TABLE messages (
    n {key},
    digest BIGINT NOT NULL REFERENCES digests (n),
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next BIGINT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE INDEX messages_digest ON messages (digest);
CREATE INDEX messages_waiting ON messages (next) WHERE state = 'waiting';

CREATE TABLE envelopes (
    message {key} REFERENCES messages (n),
    recipient TEXT NOT NULL,
    sender TEXT NOT NULL,
    secrets TEXT NOT NULL,
    data {blob} NOT NULL
);
CREATE INDEX envelopes_recipient ON envelopes (recipient);

CREATE TABLE attempts (
    n {key},
    message BIGINT NOT NULL REFERENCES messages (n),
    at BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    code BIGINT NOT NULL
);
CREATE INDEX attempts_message ON attempts (message);

CREATE TABLE answers (
    attempt {key} REFERENCES attempts (n),
    text TEXT NOT NULL
);

CREATE TABLE files (
    digest BIGINT NOT NULL REFERENCES digests (n),
    name TEXT NOT NULL,
    data {blob} NOT NULL,
    PRIMARY KEY (digest, name)
);

CREATE TABLE leases (
    channel TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until BIGINT NOT NULL
);

-- Events that concern nobody: by id while they may come again, then as numbers per day.
CREATE TABLE nobody (
    id TEXT PRIMARY KEY,
    why TEXT NOT NULL,
    recorded BIGINT NOT NULL
);

CREATE TABLE tallies (
    day TEXT NOT NULL,
    name TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (day, name)
);
